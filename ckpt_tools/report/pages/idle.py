"""Operations of a plan that changed nothing, in words: what each was to do, and why it did not."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ckpt_tools.checkpoint.dtype import FLOATS
from ckpt_tools.edit import operations as nouns
from ckpt_tools.edit.matching import selected
from ckpt_tools.text import count, printable, value

if TYPE_CHECKING:
    from collections.abc import Callable

    from ckpt_tools.checkpoint.model import Checkpoint
    from ckpt_tools.edit.operations import Globs, Operation


def idle_line(operation: Operation, after: Checkpoint) -> str:
    """Return an operation that changed nothing in words. `after` is what the plan results in."""
    if isinstance(operation, nouns.Cast):
        return printable(_cast(operation, after))
    return printable(_WORDS[type(operation)](operation))


def _globs(select: Globs) -> str:
    more = f" and {len(select) - _GLOBS:,} more" if len(select) > _GLOBS else ""
    return ", ".join(select[:_GLOBS]) + more


_GLOBS = 3
"""Globs that fit a line."""


def _set_metadata(one: nouns.SetMetadata) -> str:
    if one.value is None:
        return f"remove metadata {one.key}: it is not set"
    return f"set metadata {one.key} to {value(one.value)}: it already has this value"


def _cast(one: nouns.Cast, after: Checkpoint) -> str:
    others = [
        tensor.name
        for tensor in after.tensors
        if tensor.dtype is not one.dtype and (one.select != nouns.EVERY or tensor.dtype in FLOATS)
    ]
    left = len(selected(one.select, others)) if one.skip else 0
    why = "no dtype changes"
    if left:
        harm = "make values infinite" if one.lossy else "lose bits"
        why = f"a cast would {harm} ({count(left, 'tensor')})"
    return f"cast {_globs(one.select)} to {one.dtype}: {why}"


_WORDS: dict[type[Operation], Callable[[Any], str]] = {
    nouns.Drop: lambda one: f"drop {_globs(one.select)}: no such tensors",
    nouns.Keep: lambda one: f"keep only {_globs(one.select)}: there are no other tensors",
    nouns.RenameTensors: lambda one: f"rename {one.match} to {one.to}: no name changes",
    nouns.Unwrap: lambda _: "remove wrapper segments (module, _orig_mod): no name has any",
    nouns.Take: lambda one: f"take {_globs(one.select)} from {one.source}: no such tensors there",
    nouns.SetValue: lambda one: (
        f"{one.file}: set {one.pointer} to {value(one.value)}: it already has this value"
    ),
    nouns.UnsetValue: lambda one: f"{one.file}: remove {one.pointer}: it is not set",
    nouns.RenameKey: lambda one: (
        f"{one.file}: rename {one.pointer} to {one.to}: it already has this name"
    ),
    nouns.SetMetadata: _set_metadata,
    nouns.Reshard: lambda one: (
        f"split the weights into files of at most {count(one.max_size, 'byte')}: they already are"
    ),
    nouns.Merge: lambda _: "merge the weights into one file: they already are one",
    nouns.DropFile: lambda one: f"drop the files {_globs(one.select)}: no such files",
    nouns.CopyFile: lambda one: f"add {one.path} from {one.source}: it is already there",
}
