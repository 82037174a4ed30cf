"""Lockfiles.

The names, dtypes and shapes of a checkpoint as JSON, one tensor a line, the same text for the same
tensors on every machine. No I/O.

`schemas/spec.schema.json` says what such a file is.
"""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING, NamedTuple, NoReturn

from ckpt_tools.checkpoint.dtype import Dtype
from ckpt_tools.errors import JsonInvalid, SpecInvalid
from ckpt_tools.storage.durable import replace_text, write_file
from ckpt_tools.storage.files import read_whole
from ckpt_tools.strict_json import parse as strict_json
from ckpt_tools.strict_json.parse import decode_utf8

if TYPE_CHECKING:
    from ckpt_tools.checkpoint.model import Checkpoint
    from ckpt_tools.strict_json.parse import Json

_DTYPES = {dtype.label: dtype for dtype in Dtype}
_LARGEST = (1 << 64) - 1


def spec_of(checkpoint: Checkpoint) -> Spec:
    """Return what a lockfile says of `checkpoint`.

    Of where it lies, only the last part: the rest is of the machine.
    """
    where = checkpoint.where
    written_from = where if "://" in where else where.rstrip("/").rpartition("/")[2]
    return Spec(
        written_from,
        tuple(
            sorted(
                ((tensor.name, tensor.dtype, tensor.shape) for tensor in checkpoint.tensors),
                key=lambda entry: entry[0],
            )
        ),
    )


def text(spec: Spec) -> str:
    """Return the lockfile's text, ASCII, tensors sorted by name. `parse` is its inverse."""
    lines = [
        f"    {json.dumps(name)}: {json.dumps({'dtype': dtype.label, 'shape': list(shape)})}"
        for name, dtype, shape in sorted(spec.tensors, key=lambda entry: entry[0])
    ]
    tensors = "{\n" + ",\n".join(lines) + "\n  }" if lines else "{}"
    return f'{{\n  "version": 1,\n  "written_from": {json.dumps(spec.written_from)},\n  "tensors": {tensors}\n}}\n'


def parse(text: str) -> Spec:
    """Return what a lockfile's text says, tensors sorted by name.

    Raises SpecInvalid, which says where it goes wrong.
    """
    try:
        value = strict_json.parse(text)
    except JsonInvalid as error:
        raise SpecInvalid(error.what, subject=error.subject) from None
    top = _object(value, "", {"version", "written_from", "tensors"})
    if top["version"] != 1 or isinstance(top["version"], bool | float):
        raise SpecInvalid(
            f"is {json.dumps(top['version'])[:40]}, and this ckpt reads 1",
            subject="/version",
            hint="write it again, or read it with a newer ckpt",
        )
    if not isinstance(top["written_from"], str):
        _refuse("/written_from", "is no text")
    if not isinstance(top["tensors"], dict):
        _refuse("/tensors", "is no object")
    return Spec(
        top["written_from"],
        tuple(_tensor(name, top["tensors"][name]) for name in sorted(top["tensors"])),
    )


def _tensor(name: str, value: Json) -> tuple[str, Dtype, tuple[int, ...]]:
    place = f"/tensors/{strict_json.escape(name)}"
    entry = _object(value, place, {"dtype", "shape"})
    dtype, shape = entry["dtype"], entry["shape"]
    if not isinstance(dtype, str) or dtype not in _DTYPES:
        _refuse(f"{place}/dtype", f"is none of {', '.join(_DTYPES)}")
    if not isinstance(shape, list):
        _refuse(f"{place}/shape", "is no list")
    return (
        name,
        _DTYPES[dtype],
        tuple(_size(size, f"{place}/shape/{axis}") for axis, size in enumerate(shape)),
    )


def _size(value: Json, place: str) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value <= _LARGEST:
        _refuse(place, "is no whole number from 0 to 2^64-1")
    return value


def _object(value: Json, place: str, keys: set[str]) -> dict[str, Json]:
    """Return `value`, an object with exactly these keys.

    `$schema` may stand beside them at the top.
    """
    if not isinstance(value, dict):
        _refuse(place, "is no object")
    lacking = sorted(keys - value.keys())
    strange = sorted(value.keys() - keys - ({"$schema"} if not place else set()))
    if lacking:
        _refuse(place, f"lacks the field {lacking[0]!r}")
    if strange:
        _refuse(place, f"has a field that no lockfile has: {strange[0]}")
    return value


def _refuse(place: str, what: str) -> NoReturn:
    raise SpecInvalid(what, subject=place)


class Spec(NamedTuple):
    """(dtype, shape) of every tensor by name, and what the file says of itself.

    The checkpoint it was written from.
    """

    written_from: str
    tensors: tuple[tuple[str, Dtype, tuple[int, ...]], ...]


LIMIT = 64 << 20
"""As for a shard index: a lockfile of 100,000 tensors has 10 MB."""


def read_spec(path: str) -> Spec:
    """Return what the lockfile at `path` says.

    Raises SpecInvalid with the path, or what reading a file raises (PathNotFound, NotAFile,
    Unreadable).
    """
    data = read_whole(path, LIMIT, "a lockfile of `ckpt spec`")
    try:
        return parse(decode_utf8(data))
    except JsonInvalid as error:
        raise SpecInvalid(error.what, path=path) from None
    except SpecInvalid as error:
        raise error.at(path) from None


def write_spec(spec: Spec, path: str) -> None:
    """Write a lockfile to `path`, in place of an older lockfile.

    What is there and is none stays: then it raises SpecInvalid. Raises WriteFailed.
    """
    if not os.path.lexists(path):
        write_file(path, text(spec).encode())
        return
    try:
        read_spec(path)
    except SpecInvalid as error:
        error.what = f"is there already, and no lockfile: {error.what}"
        error.next = "name another place with --output, or move the old one away"
        raise
    replace_text(path, text(spec))
