"""Folders of this machine as sources of an audit: listed and stated, no file opened.

A link to a folder inside what is walked anyway is not followed, so nothing is found twice and
loops end; one that leads elsewhere is.
"""

from __future__ import annotations

import os
import re
from functools import cache, partial
from typing import TYPE_CHECKING

from ckpt_tools.audit.discover import Found, walk
from ckpt_tools.audit.model import FileState
from ckpt_tools.audit.naming import printable, unescaped
from ckpt_tools.audit.units import Listed
from ckpt_tools.storage.files import read_error

if TYPE_CHECKING:
    from collections.abc import Iterator

_SHA256, _GIT_ID = re.compile("[0-9a-f]{64}"), re.compile("[0-9a-f]{40}")
_CACHED = re.compile(r"(?:.*/)?models--(?P<name>[^/]+)/snapshots/[0-9a-f]{40}(?:/.*)?")


class LocalTrees:
    """Folders that are walked one after the other, each real folder once."""

    def __init__(self) -> None:
        self._roots: list[str] = []
        """The real paths of the folders that were walked."""

    def below(self, start: str) -> Iterator[Found]:
        """Yield what is found in the folder `start` and where its links lead, by full paths."""
        start_real = os.path.realpath(start)
        waiting = [start]
        while waiting:
            folder = waiting.pop()
            real = os.path.realpath(folder)
            if self._is_walked(real):
                continue
            tree = _LocalTree(folder, real, self._roots)
            self._roots.append(real)
            links: list[str] = []
            prefix = os.path.join(folder, "")
            for one in walk(tree, partial(self._follow, prefix, start_real, links)):
                yield one._replace(path=f"{prefix}{one.path}" if one.path else folder)
            waiting += reversed(links)

    def _follow(self, prefix: str, start: str, links: list[str], link: str) -> None:
        """Keep a link to walk later, unless it leads into what is walked or to what contains it."""
        full = f"{prefix}{link}"
        real = os.path.realpath(full)
        if not self._is_walked(real) and not _is_inside(start, real):
            links.append(full)

    def _is_walked(self, real: str) -> bool:
        return any(_is_inside(real, root) for root in self._roots)


def _is_inside(path: str, folder: str) -> bool:
    """Whether a real path is the folder or in it."""
    return path == folder or path.startswith(os.path.join(folder, ""))


class _LocalTree:
    """A `Tree` of the folder `root`, whose real path is `real`; it ends at those walked before."""

    def __init__(self, root: str, real: str, walked: list[str]) -> None:
        self._root = root
        self._below = os.path.join(root, "")
        self._walked = {os.path.relpath(one, real) for one in walked if _is_inside(one, real)}

    def listed(self, path: str) -> Listed:
        """Return what is in a folder. Raises PathNotFound or Unreadable."""
        full = f"{self._below}{path}" if path else self._root
        files: dict[str, os.DirEntry[str]] = {}
        folders: list[str] = []
        links: list[str] = []
        try:
            with os.scandir(full) as entries:
                for entry in entries:
                    if not _is_folder(entry):
                        files[entry.name] = entry
                    elif entry.is_symlink():
                        links.append(entry.name)
                    else:
                        folders.append(entry.name)
        except OSError as error:
            raise read_error(full, error) from None
        if self._walked:
            folders = [name for name in folders if os.path.join(path, name) not in self._walked]
        return Listed(
            tuple(sorted(files)),
            tuple(sorted(folders)),
            lambda name: _state(files[name]),
            tuple(sorted(links)),
        )


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:
        return False


def _state(entry: os.DirEntry[str]) -> FileState:
    """Return the state of a file, a link followed; one that leads nowhere has 0 bytes.

    A link in the cache of huggingface_hub leads to a file that is named by its content's hash.
    """
    name = printable(entry.name)
    try:
        found = _stated(name, entry.stat())
        if not entry.is_symlink():
            return found
        target = os.path.basename(os.readlink(entry.path))
    except OSError:
        return FileState(name, 0)
    if _SHA256.fullmatch(target):
        return found._replace(sha256=target)
    return found._replace(etag=target) if _GIT_ID.fullmatch(target) else found


def _stated(name: str, status: os.stat_result) -> FileState:
    inode = f"{status.st_dev}:{status.st_ino}"
    return FileState(name, status.st_size, status.st_mtime_ns, "", "", "", inode)


def file_state(path: str) -> FileState:
    """Return the state of the file at `path`, under its name. Raises PathNotFound or Unreadable."""
    try:
        return _stated(printable(os.path.basename(path)), os.stat(path))
    except OSError as error:
        raise read_error(path, error) from None


def may_exist(location: str) -> bool:
    """Whether there is anything at a location, as an audit writes it; true if it is remote."""
    return "://" in location or any(map(os.path.lexists, (location, unescaped(location))))


def cached_repository(path: str) -> str:
    """Return the repository of a snapshot in the Hugging Face cache, "" for any other path."""
    match = _CACHED.fullmatch(path) if "/snapshots/" in path else None
    return match["name"].replace("--", "/", 1) if match else ""


def owner_of(path: str) -> str:
    """Return the name of the user who owns what is at `path`, "" if that cannot be told."""
    try:
        return _user(os.lstat(path).st_uid)
    except OSError:
        return ""


@cache
def _user(number: int) -> str:
    import pwd  # noqa: PLC0415 - no other part of the tool needs it, and it opens a database

    try:
        return pwd.getpwuid(number).pw_name
    except KeyError:
        return str(number)
