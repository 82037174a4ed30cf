"""Writing the outputs of a plan to a folder: headers, ranges of bytes, casts, texts, copies.

Each file is flushed to disk when it has been written.
"""

from __future__ import annotations

import errno
import os
import stat
from typing import TYPE_CHECKING, NamedTuple

from ckpt_tools.edit.model import Copy, Output, Plan, Weights
from ckpt_tools.errors import ChangedDuringRead, located
from ckpt_tools.storage.copy import copy_range
from ckpt_tools.storage.durable import make_folder, new_file, there, write_all, writing
from ckpt_tools.storage.files import list_folder, open_regular
from ckpt_tools.values.cast import cast_stream

if TYPE_CHECKING:
    from collections.abc import Callable, Container, Iterator

    from ckpt_tools.checkpoint.dtype import Dtype
    from ckpt_tools.checkpoint.model import Source


class Run(NamedTuple):
    """Contiguous payload of one file, to cast to `dtype`, or to copy if that is None."""

    source: Source
    dtype: Dtype | None


class Target(NamedTuple):
    """Where outputs are written.

    The folder, the paths to omit from copied folders, and a function that is called with the bytes
    written since the last call.
    """

    folder: str
    skip: Container[str]
    progress: Callable[[int], None]


def ordered(plan: Plan) -> tuple[Output, ...]:
    """Return the outputs of `plan`, folders last: they do not replace files written before."""
    return tuple(sorted(plan.outputs, key=lambda output: output.path.endswith("/")))


def write_output(output: Output, target: Target, like: os.stat_result | None = None) -> None:
    """Write one file or folder of a plan, with the mode of the file `like` that it replaces."""
    path = os.path.join(target.folder, output.path.rstrip("/"))
    make_folder(os.path.dirname(path))
    if isinstance(output, Copy):
        _copy_entry(output.source.rstrip("/"), path, target, like)
        return
    with new_file(path, like) as descriptor:
        if isinstance(output, Weights):
            _fill_weights(descriptor, output, path, target)
        else:
            data = output.text.encode()
            write_all(descriptor, data, path)
            target.progress(len(data))


def runs(weights: Weights) -> Iterator[Run]:
    """Yield the payload of a weight file, merging contiguous pieces that need no cast."""
    pending: Source | None = None
    for piece in weights.pieces:
        source, dtype = piece.source, piece.tensor.dtype
        same = source.dtype is dtype
        if pending and same and (pending.file, pending.end) == (source.file, source.start):
            pending = pending._replace(end=source.end)
            continue
        if pending:
            yield Run(pending, None)
        pending = source if same else None
        if not same:
            yield Run(source, dtype)
    if pending:
        yield Run(pending, None)


def _fill_weights(descriptor: int, output: Weights, path: str, target: Target) -> None:
    write_all(descriptor, output.header, path)
    target.progress(len(output.header))
    offset = len(output.header)
    for piece, cast in runs(output):
        with open_regular(piece.file) as (opened, _), located(piece.file), writing(path):
            if cast is None:
                copy_range(opened, descriptor, piece.start, piece.end, offset, target.progress)
                offset += piece.end - piece.start
            else:
                offset += cast_stream(opened, descriptor, piece, cast, offset, target.progress)


def _fill_copy(descriptor: int, source: str, path: str, progress: Callable[[int], None]) -> None:
    with open_regular(source) as (opened, size), located(source), writing(path):
        before = os.fstat(opened)
        copy_range(opened, descriptor, 0, size, 0, progress)
        after = os.fstat(opened)
        if (before.st_size, before.st_mtime_ns) != (after.st_size, after.st_mtime_ns):
            raise ChangedDuringRead("changed while it was copied")


def _copy_entry(
    source: str,
    path: str,
    target: Target,
    like: os.stat_result | None = None,
    *,
    inside: bool = False,
) -> None:
    """Copy a file, or a folder and its contents, but not over a file that was written before.

    A link to a file is followed; a link to a folder, which may be anywhere, stays a link to that
    folder; a broken link is copied as it is.
    """
    if inside and (
        os.path.relpath(path, target.folder) in target.skip
        or (there(path) and not os.path.isdir(source))
    ):
        return
    target_of_link = _target_of_link(source)
    if target_of_link is not None:
        with writing(path):
            os.symlink(target_of_link, path)
    elif os.path.isdir(source):
        _copy_folder(source, path, target)
    else:
        with new_file(path, like) as descriptor:
            _fill_copy(descriptor, source, path, target.progress)


def _target_of_link(path: str) -> str | None:
    """Return the target of a link that stays one: broken, to itself, or to a folder.

    A link that only cannot be followed now is not broken.
    """
    if not os.path.islink(path):
        return None
    try:
        mode = os.stat(path).st_mode
    except OSError as error:
        return os.readlink(path) if error.errno in {errno.ENOENT, errno.ELOOP} else None
    return os.path.realpath(path) if stat.S_ISDIR(mode) else None


def _copy_folder(source: str, path: str, target: Target) -> None:
    make_folder(path)
    for entry in list_folder(source):
        name = entry.removesuffix("/")
        _copy_entry(os.path.join(source, name), os.path.join(path, name), target, inside=True)
