"""What a power cut could do to a sequence of system calls.

Names that reach the disk before the bytes they stand for, and steps that overtake each other.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

WRITES = ("write", "pwrite", "copy_file_range", "sendfile", "fchmod", "fchown", "chmod")
RENAMES = ("rename", "replace", "link")


class Call(NamedTuple):
    """A system call that succeeded and the paths it concerns, the one that changes last."""

    name: str
    paths: tuple[str, ...]


def faults(calls: Iterable[Call], world: str) -> Iterator[str]:
    """Yield what is wrong with the order of `calls`, a write to `world`/in or to `world`/out:

    bytes     a file or folder has a name given to it before its bytes, or the names in it, are on
    the disk commit    the journal gets its name before everything that it relies on is on the disk,
    or takes effect before that name is backup    a file is replaced or removed before the name that
    keeps it is on the disk end       the journal goes before what it did is on the disk, or the
    write ends before everything is
    """
    files: set[str] = set()
    folders: set[str] = set()
    for name, paths in calls:
        yield from _early(name, paths, files, folders, world)
        _follow(name, paths, files, folders, f"{world}/.")
    yield from (f"end: {path}" for path in sorted(folders) if not path.startswith(f"{world}/."))


def _early(
    name: str, paths: tuple[str, ...], files: set[str], folders: set[str], world: str
) -> Iterator[str]:
    root, work = f"{world}/in", f"{world}/in/.ckpt-work"
    dirty = {path for path in folders if not _within(path, f"{work}/view")}
    if name in RENAMES:
        yield from (
            f"bytes: {path} before {paths[1]}"
            for path in sorted(files | dirty)
            if _within(path, paths[0])
        )
    if name in RENAMES and paths[1] == f"{work}/journal.json":
        yield from (f"commit: {path}" for path in sorted(dirty))
    elif (
        name in {"rename", "replace"} and _within(paths[-1], root) and not _within(paths[-1], work)
    ) or (name == "unlink" and _within(paths[0], root) and not _within(paths[0], work)):
        yield from (
            f"backup: {path} before {paths[-1]}"
            for path in sorted(dirty)
            if not _within(path, root) or path == work or _within(path, f"{work}/old")
        )
    elif name == "link" and not _within(paths[1], work) and work in dirty:
        yield f"commit: {work} before {paths[1]}"
    elif name == "unlink" and paths[0] == f"{work}/journal.json":
        yield from (
            f"end: {path} before the journal goes"
            for path in sorted(dirty)
            if not _within(path, work)
        )


def _follow(
    name: str, paths: tuple[str, ...], files: set[str], folders: set[str], rubbish: str
) -> None:
    """Keep track of which files and folders hold what is not on the disk.

    That `rubbish` goes need not be.
    """
    if name in WRITES:
        files.add(paths[-1])
    elif name == "fsync":
        files.discard(paths[0])
        folders.discard(paths[0])
    elif name not in {"rmdir", "unlink"} or not paths[0].startswith(rubbish):
        folders.add(os.path.dirname(paths[-1]))
    if name in {"rename", "replace"}:
        folders.add(os.path.dirname(paths[0]))
    if name in {"rmdir", "unlink"}:
        files.discard(paths[0])
        folders.discard(paths[0])


def _within(path: str, folder: str) -> bool:
    return path == folder or path.startswith(f"{folder}/")
