"""Operations of a plan that changed nothing, in words: what each was to do, and why it did not."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ckpt_tools.edit import operations as nouns
from ckpt_tools.text import count, printable, value

if TYPE_CHECKING:
    from collections.abc import Callable

    from ckpt_tools.edit.operations import Globs, Operation


def idle_line(operation: Operation) -> str:
    """Return an operation that changed nothing in words."""
    return printable(_WORDS[type(operation)](operation))


def _globs(select: Globs) -> str:
    more = f" and {len(select) - _GLOBS:,} more" if len(select) > _GLOBS else ""
    return ", ".join(select[:_GLOBS]) + more


_GLOBS = 3
"""Globs that fit a line."""


def _set_metadata(one: nouns.SetMetadata) -> str:
    if one.value is None:
        return f"remove metadata {one.key}: it is not set"
    return f"set metadata {one.key} to {value(one.value)}: it is set so"


_WORDS: dict[type[Operation], Callable[[Any], str]] = {
    nouns.Drop: lambda one: f"drop {_globs(one.select)}: no such tensors",
    nouns.Keep: lambda one: f"keep only {_globs(one.select)}: there are no other tensors",
    nouns.RenameTensors: lambda one: f"rename {one.match} to {one.to}: no name changes",
    nouns.Unwrap: lambda _: "remove wrapper segments (module, _orig_mod): no name has any",
    nouns.Cast: lambda one: f"cast {_globs(one.select)} to {one.dtype}: no dtype changes",
    nouns.Take: lambda one: f"take {_globs(one.select)} from {one.source}: no such tensors there",
    nouns.SetValue: lambda one: (
        f"{one.file}: set {one.pointer} to {value(one.value)}: it is set so"
    ),
    nouns.UnsetValue: lambda one: f"{one.file}: remove {one.pointer}: it is not set",
    nouns.RenameKey: lambda one: f"{one.file}: rename {one.pointer} to {one.to}: it is called so",
    nouns.SetMetadata: _set_metadata,
    nouns.Reshard: lambda one: (
        f"split the weights into files of at most {count(one.max_size, 'byte')}: they are split so"
    ),
    nouns.Merge: lambda _: "merge the weights into one file: they are in one",
    nouns.DropFile: lambda one: f"drop the files {_globs(one.select)}: no such files",
    nouns.CopyFile: lambda one: f"add {one.path} from {one.source}: it is there",
}
