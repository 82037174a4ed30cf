"""Finds checkpoints in a tree of folders, by names alone."""

from __future__ import annotations

import os
import stat
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING

from ckpt_tools.audit.model import Candidate, FileState

if TYPE_CHECKING:
    from collections.abc import Iterator

_LISTS = frozenset(("model_index.json", "modules.json"))


def below(where: str, only: tuple[str, ...] = ()) -> Iterator[Candidate]:
    """Yield the checkpoints at or below the local path `where`."""
    if os.path.isfile(where):
        yield Candidate(where, where, where, (_state(where, os.path.basename(where)),))
        return
    for folder, names, trouble in _walk(where):
        if trouble:
            yield Candidate(folder, where, folder, trouble=trouble)
        elif any(name.endswith(".safetensors") or name in _LISTS for name in names) and (
            not only or any(fnmatchcase(folder, glob) for glob in only)
        ):
            files = tuple(_state(os.path.join(folder, name), name) for name in names)
            yield Candidate(folder, where, folder, files, name=os.path.basename(folder))


def _walk(root: str) -> Iterator[tuple[str, list[str], str]]:
    waiting = [root]
    while waiting:
        folder = waiting.pop()
        try:
            with os.scandir(folder) as entries:
                found = sorted((one.name, one.is_dir(follow_symlinks=False)) for one in entries)
        except OSError as error:
            yield folder, [], (error.strerror or str(error)).lower()
            continue
        waiting += (os.path.join(folder, name) for name, is_dir in reversed(found) if is_dir)
        yield folder, [name for name, is_dir in found if not is_dir], ""


def _state(path: str, name: str) -> FileState:
    try:
        status = os.stat(path)
    except OSError:
        return FileState(name, 0)
    size = status.st_size if stat.S_ISREG(status.st_mode) else 0
    return FileState(name, size, status.st_mtime_ns)
