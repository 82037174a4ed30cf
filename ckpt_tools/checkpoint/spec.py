"""Lockfiles: the names, dtypes and shapes of a checkpoint's tensors as JSON.

One tensor a line, the same text for the same tensors on every machine; the schema is
`schemas/spec.schema.json`.
"""

from __future__ import annotations

import json
from operator import itemgetter
from typing import TYPE_CHECKING, NamedTuple

from ckpt_tools.checkpoint.fields import (
    dtype_and_shape,
    fields,
    is_version_1,
    lines,
    members,
    typed,
)
from ckpt_tools.errors import JsonInvalid, SpecInvalid, located
from ckpt_tools.storage.durable import refuse_overwriting, replace_text
from ckpt_tools.storage.files import read_whole
from ckpt_tools.strict_json import parse as strict_json

if TYPE_CHECKING:
    from ckpt_tools.checkpoint.dtype import Dtype
    from ckpt_tools.checkpoint.model import Checkpoint
    from ckpt_tools.strict_json.parse import Json

LIMIT = 64 << 20
"""Bytes, as for a shard index: a lockfile of 100,000 tensors has 10 MB."""


class Spec(NamedTuple):
    """(name, dtype, shape) of every tensor, and the name of the checkpoint it was written from.

    Of each group in `ties`, names of one tensor, a checkpoint needs one; `tensors` has one of them.
    """

    written_from: str
    tensors: tuple[tuple[str, Dtype, tuple[int, ...]], ...]
    ties: tuple[tuple[str, ...], ...] = ()


def spec_of(checkpoint: Checkpoint) -> Spec:
    """Return the lockfile of `checkpoint`.

    Of a local path it has the last part only, which is the same on every machine.
    """
    written_from = name_on_every_machine(checkpoint.where)
    tensors = ((tensor.name, tensor.dtype, tensor.shape) for tensor in checkpoint.tensors)
    return Spec(written_from, tuple(sorted(tensors, key=itemgetter(0))))


def name_on_every_machine(where: str) -> str:
    """Return a name on the Hub as it is, and the last part of a path."""
    return where if "://" in where else where.rstrip("/").rpartition("/")[2]


def text(spec: Spec) -> str:
    """Return the lockfile's text, ASCII, tensors sorted by name, which `parse` reads."""
    tensors = {
        name: {"dtype": dtype.label, "shape": list(shape)} for name, dtype, shape in spec.tensors
    }
    ties = ",\n".join(f"    {json.dumps(list(names))}" for names in spec.ties)
    return (
        f'{{\n  "version": 1,\n  "written_from": {json.dumps(spec.written_from)},\n'
        + f'  "ties": [\n{ties}\n  ],\n' * bool(ties)
        + f'  "tensors": {lines(tensors)}\n}}\n'
    )


def parse(data: bytes) -> Spec:
    """Return the lockfile with the text `data`, tensors sorted by name.

    Raises SpecInvalid, whose subject is the JSON pointer of the fault.
    """
    try:
        top = fields(
            strict_json.parse(strict_json.decode_utf8(data)),
            "",
            {"version", "written_from", "tensors"},
            {"$schema", "ties"},
        )
        if not is_version_1(top["version"]):
            raise SpecInvalid(
                f"unsupported version {json.dumps(top['version'])[:40]}, expected 1",
                subject="/version",
                hint="write it again, or upgrade ckpt",
            )
        return Spec(
            typed(top["written_from"], str, "/written_from", "a string"),
            tuple(_tensor(name, entry) for name, entry in members(top["tensors"], "/tensors")),
            tuple(_tie(names, f"/ties/{i}") for i, names in enumerate(_list(top.get("ties", [])))),
        )
    except JsonInvalid as error:
        raise SpecInvalid(error.what, subject=error.subject) from None


def _tensor(name: str, value: Json) -> tuple[str, Dtype, tuple[int, ...]]:
    pointer = f"/tensors/{strict_json.escape(name)}"
    return name, *dtype_and_shape(fields(value, pointer, {"dtype", "shape"}), pointer)


def _list(value: Json) -> list[Json]:
    return typed(value, list, "/ties", "a list of lists of names")


def _tie(value: Json, pointer: str) -> tuple[str, ...]:
    names = typed(value, list, pointer, "a list of names")
    return tuple(typed(name, str, pointer, "a list of names") for name in names)


def read_spec(path: str) -> Spec:
    """Return the lockfile at `path`.

    Raises SpecInvalid with the path, PathNotFound, NotAFile or Unreadable.
    """
    data = read_whole(path, LIMIT, "a lockfile of `ckpt spec`")
    with located(path):
        return parse(data)


def write_spec(spec: Spec, path: str) -> None:
    """Write a lockfile to `path`. Of the files that exist it replaces only a lockfile.

    Raises SpecInvalid for another file, which stays, and WriteFailed.
    """
    refuse_overwriting(path, "lockfile", read_spec, SpecInvalid)
    replace_text(path, text(spec))
