"""One tensor's entry in a safetensors header: JSON value to tensor, with the reference library's verdict. Its neighbours are `header`'s matter."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, cast

from ckpt_tools import errors
from ckpt_tools.checkpoint.dtype import Dtype
from ckpt_tools.checkpoint.model import Tensor
from ckpt_tools.strict_json.parse import Repeated, kind, repeated_key

if TYPE_CHECKING:
    from ckpt_tools.strict_json.parse import Json, JsonObject

WORD = 1 << 64
"""The reference counts in unsigned 64-bit words."""

_FIELDS = ("dtype", "shape", "data_offsets")
_FIELD_SET = frozenset(_FIELDS)
_DTYPES = {dtype.label: dtype for dtype in Dtype}


def decode_entry(name: str, entry: Json, shard: str, *, lenient: bool) -> Tensor:
    """Return the tensor that `entry` describes. Raises a HeaderError, or a SpecificationError unless `lenient`; both name the tensor."""
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
    """Return how errors name a tensor."""
    return f"tensor {json.dumps(name, ensure_ascii=False)}"


def _unusual(name: str, entry: Json, *, lenient: bool) -> JsonObject:
    """Return the three fields of an entry that is not simply an object of three fields."""
    if not lenient and "\0" in name:
        msg = "the name holds a NUL character"
        raise errors.NameWithNul(msg)
    if isinstance(entry, list):
        return _positional(entry, lenient=lenient)
    if not isinstance(entry, dict):
        msg = f"the entry is {kind(entry)}, not an object"
        raise errors.EntryInvalid(msg)
    if isinstance(entry, Repeated):
        _check_repeated(entry, lenient=lenient)
    for field in _FIELDS:
        if field not in entry:
            msg = f"the entry has no {field}"
            raise errors.FieldMissing(msg)
    unknown = next((field for field in entry if field not in _FIELD_SET), None)
    if unknown is not None and not lenient:
        msg = f"the entry has a field {json.dumps(unknown)} that the format does not know"
        raise errors.FieldUnknown(msg)
    return entry


def _check_repeated(entry: Repeated, *, lenient: bool) -> None:
    field = repeated_key([pair for pair in entry.pairs if pair[0] in _FIELD_SET])
    if field:
        msg = f"the entry has {field} more than once"
        raise errors.FieldRepeated(msg)
    if not lenient:
        msg = f"the entry has a field {json.dumps(repeated_key(entry.pairs))} that the format does not know, more than once"
        raise errors.FieldUnknown(msg)


def _positional(entry: list[Json], *, lenient: bool) -> JsonObject:
    if len(entry) != len(_FIELDS):
        msg = f"the entry is a list of {len(entry)}, not an object"
        raise errors.EntryInvalid(msg)
    if not lenient:
        msg = "the entry is a list, not an object"
        raise errors.EntryPositional(msg)
    return dict(zip(_FIELDS, entry, strict=True))


def _dtype(value: Json, *, lenient: bool) -> Dtype:
    if isinstance(value, str) and value in _DTYPES:
        return _DTYPES[value]
    label = value
    if isinstance(value, dict) and len(value) == 1 and not isinstance(value, Repeated):
        label, content = next(iter(value.items()))
        if content is not None or label not in _DTYPES:
            msg = f"the dtype is {kind(value)}, not a string"
            raise errors.DtypeUnknown(msg)
        if not lenient:
            msg = f"the dtype {label} is wrapped in an object"
            raise errors.DtypeWrapped(msg)
    dtype = _DTYPES.get(label) if isinstance(label, str) else None
    if dtype is None:
        msg = f"dtype {json.dumps(label)[:40]} is not known"
        raise errors.DtypeUnknown(msg)
    return dtype


def _shape(value: Json) -> tuple[int, ...]:
    if not isinstance(value, list):
        msg = f"the shape is {kind(value)}, not a list"
        raise errors.ShapeInvalid(msg)
    for dimension in value:
        if type(dimension) is not int or not 0 <= dimension < WORD:
            msg = f"the shape holds {json.dumps(dimension)[:40]}, not a whole number from 0 to 2^64-1"
            raise errors.ShapeInvalid(msg)
    return tuple(value)  # type: ignore[arg-type]  # the loop above let only integers pass


def _offsets(value: Json) -> tuple[int, int]:
    if isinstance(value, list) and len(value) == 2:  # noqa: PLR2004 - start and end
        start, end = value
        if type(start) is int and type(end) is int and 0 <= start < WORD and 0 <= end < WORD:
            return start, end
    msg = f"data_offsets are {json.dumps(value)[:40]}, not two whole numbers from 0 to 2^64-1"
    raise errors.OffsetsInvalid(msg)
