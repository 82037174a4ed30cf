"""Lockfiles: the names, dtypes and shapes of a checkpoint's tensors as JSON.

One tensor a line, the same text for the same tensors on every machine; the schema is
`schemas/spec.schema.json`.
"""

from __future__ import annotations

import json
import os
from operator import itemgetter
from typing import TYPE_CHECKING, NamedTuple, NoReturn

from ckpt_tools.checkpoint.dtype import Dtype
from ckpt_tools.errors import JsonInvalid, SpecInvalid
from ckpt_tools.storage.durable import replace_text
from ckpt_tools.storage.files import read_whole
from ckpt_tools.strict_json import parse as strict_json
from ckpt_tools.strict_json.parse import decode_utf8

if TYPE_CHECKING:
    from ckpt_tools.checkpoint.model import Checkpoint
    from ckpt_tools.strict_json.parse import Json

LIMIT = 64 << 20
"""Bytes, as for a shard index: a lockfile of 100,000 tensors has 10 MB."""

_DTYPES = {dtype.label: dtype for dtype in Dtype}
_LARGEST = (1 << 64) - 1


class Spec(NamedTuple):
    """(name, dtype, shape) of every tensor, and the name of the checkpoint it was written from."""

    written_from: str
    tensors: tuple[tuple[str, Dtype, tuple[int, ...]], ...]


def spec_of(checkpoint: Checkpoint) -> Spec:
    """Return the lockfile of `checkpoint`.

    Of a local path it has the last part only, which is the same on every machine.
    """
    where = checkpoint.where
    written_from = where if "://" in where else where.rstrip("/").rpartition("/")[2]
    tensors = ((tensor.name, tensor.dtype, tensor.shape) for tensor in checkpoint.tensors)
    return Spec(written_from, tuple(sorted(tensors, key=itemgetter(0))))


def text(spec: Spec) -> str:
    """Return the lockfile's text, ASCII, tensors sorted by name. `parse` is its inverse."""
    lines = [
        f"    {json.dumps(name)}: {json.dumps({'dtype': dtype.label, 'shape': list(shape)})}"
        for name, dtype, shape in sorted(spec.tensors, key=itemgetter(0))
    ]
    tensors = "{\n" + ",\n".join(lines) + "\n  }" if lines else "{}"
    return (
        f'{{\n  "version": 1,\n  "written_from": {json.dumps(spec.written_from)},\n'
        f'  "tensors": {tensors}\n}}\n'
    )


def parse(text: str) -> Spec:
    """Return the lockfile whose text is given, tensors sorted by name.

    Raises SpecInvalid, whose subject is the JSON pointer of the fault.
    """
    try:
        value = strict_json.parse(text)
    except JsonInvalid as error:
        raise SpecInvalid(error.what, subject=error.subject) from None
    top = _object(value, "", {"version", "written_from", "tensors"})
    if top["version"] != 1 or isinstance(top["version"], bool | float):
        raise SpecInvalid(
            f"is {json.dumps(top['version'])[:40]}, but this ckpt supports 1 only",
            subject="/version",
            hint="write it again, or upgrade ckpt",
        )
    if not isinstance(top["written_from"], str):
        _refuse("/written_from", "is not a string")
    if not isinstance(top["tensors"], dict):
        _refuse("/tensors", "is not an object")
    return Spec(
        top["written_from"],
        tuple(_tensor(name, top["tensors"][name]) for name in sorted(top["tensors"])),
    )


def _tensor(name: str, value: Json) -> tuple[str, Dtype, tuple[int, ...]]:
    pointer = f"/tensors/{strict_json.escape(name)}"
    entry = _object(value, pointer, {"dtype", "shape"})
    dtype, shape = entry["dtype"], entry["shape"]
    if not isinstance(dtype, str) or dtype not in _DTYPES:
        _refuse(f"{pointer}/dtype", f"is not one of {', '.join(_DTYPES)}")
    if not isinstance(shape, list):
        _refuse(f"{pointer}/shape", "is not a list")
    sizes = tuple(_size(size, f"{pointer}/shape/{axis}") for axis, size in enumerate(shape))
    return name, _DTYPES[dtype], sizes


def _size(value: Json, pointer: str) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value <= _LARGEST:
        _refuse(pointer, "is not an integer from 0 to 2^64-1")
    return value


def _object(value: Json, pointer: str, keys: set[str]) -> dict[str, Json]:
    """Return `value`, an object with exactly these keys, and at the top perhaps `$schema`."""
    if not isinstance(value, dict):
        _refuse(pointer, "is not an object")
    missing = sorted(keys - value.keys())
    unknown = sorted(value.keys() - keys - ({"$schema"} if not pointer else set()))
    if missing:
        _refuse(pointer, f"lacks the field {missing[0]!r}")
    if unknown:
        _refuse(pointer, f"has an unknown field: {unknown[0]}")
    return value


def _refuse(pointer: str, what: str) -> NoReturn:
    raise SpecInvalid(what, subject=pointer)


def read_spec(path: str) -> Spec:
    """Return the lockfile at `path`.

    Raises SpecInvalid with the path, PathNotFound, NotAFile or Unreadable.
    """
    data = read_whole(path, LIMIT, "a lockfile of `ckpt spec`")
    try:
        return parse(decode_utf8(data))
    except JsonInvalid as error:
        raise SpecInvalid(error.what, path=path) from None
    except SpecInvalid as error:
        raise error.at(path) from None


def write_spec(spec: Spec, path: str) -> None:
    """Write a lockfile to `path`. Of the files that exist it replaces only a lockfile.

    Raises SpecInvalid for another file, which stays, and WriteFailed.
    """
    if os.path.lexists(path):
        try:
            read_spec(path)
        except SpecInvalid as error:
            error.what = f"exists and is not a lockfile: {error.what}"
            error.next = "choose another --output, or remove it first"
            raise
    replace_text(path, text(spec))
