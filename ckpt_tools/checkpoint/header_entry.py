"""One tensor's entry in a safetensors header: from its JSON value to a `Tensor`.

How tensors lie in the payload is checked in `header`.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, cast

from ckpt_tools import errors
from ckpt_tools.checkpoint.dtype import DTYPES, Dtype
from ckpt_tools.checkpoint.model import Tensor
from ckpt_tools.strict_json.parse import Repeated, kind, repeated_key

if TYPE_CHECKING:
    from ckpt_tools.strict_json.parse import Json, JsonObject

WORD = 1 << 64
"""The reference counts in unsigned 64-bit words."""

_FIELDS = ("dtype", "shape", "data_offsets")
_FIELD_SET = frozenset(_FIELDS)


def decode_entry(name: str, entry: Json, shard: str, *, lenient: bool) -> Tensor:
    """Return the tensor that `entry` describes.

    Raises a HeaderError, or unless `lenient` a SpecificationError; both name the tensor.
    """
    try:
        usual = type(entry) is dict and entry.keys() == _FIELD_SET and "\0" not in name
        fields = cast("JsonObject", entry) if usual else _unusual(name, entry, lenient=lenient)
        dtype = _dtype(fields["dtype"], lenient=lenient)
        start, end = _offsets(fields["data_offsets"])
        return Tensor(name, dtype, _shape(fields["shape"]), shard, start, end)
    except (errors.HeaderError, errors.SpecificationError) as error:
        error.subject = named(name)
        raise


def named(name: str) -> str:
    """Return the subject of an error about a tensor."""
    return f"tensor {json.dumps(name, ensure_ascii=False)}"


def _unusual(name: str, entry: Json, *, lenient: bool) -> JsonObject:
    """Return the fields of an entry other than an object of exactly three fields."""
    if not lenient and "\0" in name:
        raise errors.NameWithNul("the name contains a NUL character")
    if isinstance(entry, list):
        return _positional(entry, lenient=lenient)
    if not isinstance(entry, dict):
        raise errors.EntryInvalid(f"the entry is {kind(entry)}, not an object")
    if isinstance(entry, Repeated):
        _check_repeated(entry, lenient=lenient)
    for field in _FIELDS:
        if field not in entry:
            raise errors.FieldMissing(f"the entry has no {field}")
    unknown = next((field for field in entry if field not in _FIELD_SET), None)
    if unknown is not None and not lenient:
        raise errors.FieldUnknown(f"the entry has an unknown field {json.dumps(unknown)}")
    return entry


def _check_repeated(entry: Repeated, *, lenient: bool) -> None:
    field = repeated_key([pair for pair in entry.pairs if pair[0] in _FIELD_SET])
    if field:
        raise errors.FieldRepeated(f"the entry has {field} more than once")
    if not lenient:
        name = json.dumps(repeated_key(entry.pairs))
        raise errors.FieldUnknown(f"the entry has an unknown field {name}, more than once")


def _positional(entry: list[Json], *, lenient: bool) -> JsonObject:
    if len(entry) != len(_FIELDS):
        raise errors.EntryInvalid(f"the entry is a list of {len(entry)}, not an object")
    if not lenient:
        raise errors.EntryPositional("the entry is a list, not an object")
    return dict(zip(_FIELDS, entry, strict=True))


def _dtype(value: Json, *, lenient: bool) -> Dtype:
    if isinstance(value, str) and value in DTYPES:
        return DTYPES[value]
    label = value
    if isinstance(value, dict) and len(value) == 1 and not isinstance(value, Repeated):
        label, content = next(iter(value.items()))
        if content is not None or label not in DTYPES:
            raise errors.DtypeUnknown(f"the dtype is {kind(value)}, not a string")
        if not lenient:
            raise errors.DtypeWrapped(f"the dtype {label} is wrapped in an object")
    dtype = DTYPES.get(label) if isinstance(label, str) else None
    if dtype is None:
        raise errors.DtypeUnknown(f"dtype {json.dumps(label)[:40]} is unknown")
    return dtype


def _shape(value: Json) -> tuple[int, ...]:
    if not isinstance(value, list):
        raise errors.ShapeInvalid(f"the shape is {kind(value)}, not a list")
    for dimension in value:
        if type(dimension) is not int or not 0 <= dimension < WORD:
            raise errors.ShapeInvalid(
                f"the shape contains {json.dumps(dimension)[:40]}, not an integer from 0 to 2^64-1"
            )
    return tuple(value)  # type: ignore[arg-type]  # the loop above let only integers pass


def _offsets(value: Json) -> tuple[int, int]:
    if isinstance(value, list) and len(value) == 2:  # noqa: PLR2004 - start and end
        start, end = value
        if type(start) is int and type(end) is int and 0 <= start < WORD and 0 <= end < WORD:
            return start, end
    raise errors.OffsetsInvalid(
        f"data_offsets are {json.dumps(value)[:40]}, not two integers from 0 to 2^64-1"
    )
