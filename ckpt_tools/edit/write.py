"""Writing the files of a plan into a folder: headers, ranges of bytes, casts, texts, copies.

Each file is on the disk when it has been written.
"""

from __future__ import annotations

import errno
import os
import stat
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, NamedTuple

from ckpt_tools.edit.model import Copy, Weights
from ckpt_tools.errors import ChangedDuringRead, CkptError
from ckpt_tools.storage.copy import copy_range
from ckpt_tools.storage.durable import create, make_folder, refused, sync, there, write_all, writing
from ckpt_tools.storage.files import list_folder, open_regular
from ckpt_tools.values.cast import cast_stream

if TYPE_CHECKING:
    from collections.abc import Callable, Container, Iterator

    from ckpt_tools.checkpoint.dtype import Dtype
    from ckpt_tools.checkpoint.model import Source
    from ckpt_tools.edit.model import Output, Plan


class Run(NamedTuple):
    """Payload that lies together in one file and stays together.

    To be cast to `dtype`, or copied where it is None.
    """

    source: Source
    dtype: Dtype | None


class Target(NamedTuple):
    """A place to write.

    The folder, paths to leave out of the folders that are copied, and whom to tell how many bytes
    were written since the last call.
    """

    folder: str
    skip: Container[str]
    progress: Callable[[int], None]


def ordered(plan: Plan) -> tuple[Output, ...]:
    """Return the outputs of `plan`, folders last.

    What was written by name is there by then, and stays.
    """
    return tuple(sorted(plan.outputs, key=lambda output: output.path.endswith("/")))


def write_output(output: Output, target: Target, like: os.stat_result | None = None) -> None:
    """Write one file of a plan, or one folder.

    `like` is the file that it will replace, whose mode it gets.
    """
    path = os.path.join(target.folder, output.path.rstrip("/"))
    make_folder(os.path.dirname(path))
    if isinstance(output, Copy):
        _copy_entry(output.source.rstrip("/"), path, target, like)
        return
    with _new_file(path, like) as descriptor:
        if isinstance(output, Weights):
            _fill_weights(descriptor, output, path, target)
        else:
            data = output.text.encode()
            write_all(descriptor, data, path)
            target.progress(len(data))


def runs(weights: Weights) -> Iterator[Run]:
    """Yield the pieces of a file of weights.

    Those that need no cast and follow each other in one file as one.
    """
    held: Source | None = None
    for piece in weights.pieces:
        source, dtype = piece.source, piece.tensor.dtype
        if held and source.dtype is dtype and (held.file, held.end) == (source.file, source.start):
            held = held._replace(end=source.end)
            continue
        if held:
            yield Run(held, None)
        held = source if source.dtype is dtype else None
        if held is None:
            yield Run(source, dtype)
    if held:
        yield Run(held, None)


@contextmanager
def _new_file(path: str, like: os.stat_result | None) -> Iterator[int]:
    """Yield a descriptor of a new file; bring it to the disk when the block has filled it."""
    descriptor = create(path)
    try:
        yield descriptor
        _take_after(descriptor, like, path)
        sync(descriptor, path)
    finally:
        os.close(descriptor)


def _take_after(descriptor: int, like: os.stat_result | None, path: str) -> None:
    """Give a new file the mode of the one it replaces, and its owner where that is allowed."""
    if like is None:
        return
    with writing(path):
        mine = os.fstat(descriptor)
        if (mine.st_uid, mine.st_gid) != (like.st_uid, like.st_gid):
            with suppress(PermissionError):
                os.fchown(descriptor, like.st_uid, like.st_gid)
        os.fchmod(descriptor, stat.S_IMODE(like.st_mode))


def _fill_weights(descriptor: int, output: Weights, path: str, target: Target) -> None:
    write_all(descriptor, output.header, path)
    target.progress(len(output.header))
    offset = len(output.header)
    for piece, cast in runs(output):
        with open_regular(piece.file) as (opened, _), _placed(piece.file, path):
            if cast is None:
                copy_range(opened, descriptor, piece.start, piece.end, offset, target.progress)
                offset += piece.end - piece.start
            else:
                offset += cast_stream(opened, descriptor, piece, cast, offset, target.progress)


def _fill_copy(descriptor: int, source: str, path: str, progress: Callable[[int], None]) -> None:
    with open_regular(source) as (opened, size), _placed(source, path):
        before = os.fstat(opened)
        copy_range(opened, descriptor, 0, size, 0, progress)
        after = os.fstat(opened)
        if (before.st_size, before.st_mtime_ns) != (after.st_size, after.st_mtime_ns):
            raise ChangedDuringRead("changed while it was copied")


@contextmanager
def _placed(source: str, path: str) -> Iterator[None]:
    """Give errors of reading the path `source`, and those of writing `path`."""
    try:
        yield
    except CkptError as error:
        raise error.at(source) from None
    except OSError as error:
        raise refused(path, error) from None


def _copy_entry(
    source: str,
    path: str,
    target: Target,
    like: os.stat_result | None = None,
    *,
    inside: bool = False,
) -> None:
    """Copy a file, or a folder and all in it. What is at `path` already stays.

    A link to a file is followed; one to a folder, which may be anywhere and hold anything, stays a
    link to that folder; one that leads nowhere stays as it is.
    """
    if inside and (
        os.path.relpath(path, target.folder) in target.skip
        or (there(path) and not os.path.isdir(source))
    ):
        return
    if _leads_nowhere(source):
        with writing(path):
            os.symlink(os.readlink(source), path)
    elif os.path.islink(source) and os.path.isdir(source):
        with writing(path):
            os.symlink(os.path.realpath(source), path)
    elif os.path.isdir(source):
        _copy_folder(source, path, target)
    else:
        with _new_file(path, like) as descriptor:
            _fill_copy(descriptor, source, path, target.progress)


def _leads_nowhere(path: str) -> bool:
    """Whether there is a link that leads nowhere or to itself.

    A link that only cannot be followed now is none.
    """
    try:
        os.stat(path)
    except OSError as error:
        return error.errno in {errno.ENOENT, errno.ELOOP} and os.path.islink(path)
    return False


def _copy_folder(source: str, path: str, target: Target) -> None:
    make_folder(path)
    for name in list_folder(source):
        _copy_entry(
            os.path.join(source, name.removesuffix("/")),
            os.path.join(path, name.removesuffix("/")),
            target,
            inside=True,
        )
