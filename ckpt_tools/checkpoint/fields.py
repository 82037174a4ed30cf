"""The fields of the JSON files that list a checkpoint's tensors: lockfiles and manifests. No I/O.

A check raises JsonInvalid, whose subject is the JSON pointer of the fault.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from ckpt_tools.checkpoint.dtype import DTYPES, Dtype
from ckpt_tools.errors import JsonInvalid

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from ckpt_tools.strict_json.parse import Json, JsonObject

_LARGEST = (1 << 64) - 1


def typed[T](value: Json, kind: type[T], pointer: str, expected: str) -> T:
    """Return `value`, which is a `kind`."""
    if not isinstance(value, kind):
        raise JsonInvalid(f"expected {expected}", subject=pointer)
    return value


def fields(
    value: Json, pointer: str, required: set[str], optional: Collection[str] = ()
) -> JsonObject:
    """Return `value`, an object with all `required` keys, and besides only `optional` ones."""
    found: JsonObject = typed(value, dict, pointer, "an object")
    for word, names in (
        ("missing", required - found.keys()),
        ("unknown", found.keys() - required.union(optional)),
    ):
        if names:
            raise JsonInvalid(f"{word} field {min(names)!r}", subject=pointer)
    return found


def members(value: Json, pointer: str) -> list[tuple[str, Json]]:
    """Return the members of `value`, an object, sorted by key."""
    return sorted(typed(value, dict, pointer, "an object").items(), key=lambda member: member[0])


def is_version_1(value: Json) -> bool:
    """Whether `value` is the integer 1, and neither 1.0 nor true."""
    return type(value) is int and value == 1


def size(value: Json, pointer: str) -> int:
    """Return `value`, an integer of at most 64 bits without a sign."""
    if type(value) is not int or not 0 <= value <= _LARGEST:
        raise JsonInvalid("expected an integer from 0 to 2^64-1", subject=pointer)
    return value


def dtype_and_shape(entry: JsonObject, pointer: str) -> tuple[Dtype, tuple[int, ...]]:
    """Return the fields `dtype` and `shape` of a tensor's entry."""
    label = entry["dtype"]
    if not isinstance(label, str) or label not in DTYPES:
        raise JsonInvalid(f"expected one of {', '.join(DTYPES)}", subject=f"{pointer}/dtype")
    shape = typed(entry["shape"], list, f"{pointer}/shape", "a list")
    sizes = (size(length, f"{pointer}/shape/{axis}") for axis, length in enumerate(shape))
    return DTYPES[label], tuple(sizes)


def lines(entries: Mapping[str, object]) -> str:
    """Return an object with a member a line, sorted by key, indented as the value of a field."""
    text = ",\n".join(
        f"    {json.dumps(name)}: {json.dumps(entries[name])}" for name in sorted(entries)
    )
    return f"{{\n{text}\n  }}" if text else "{}"
