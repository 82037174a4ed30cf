"""Everything that lies in a folder and below it.

Only regular files are opened, and nothing is waited for; folders that links lead to are not
entered.

Of a folder that no upload takes along, such as `.git/`, there is only the name.
"""

from __future__ import annotations

import os
import stat
from typing import TYPE_CHECKING, NamedTuple

from ckpt_tools.errors import CkptError, Unreadable
from ckpt_tools.scan import hub_folder
from ckpt_tools.scan.content import TOTAL_LIMIT, Content, seen
from ckpt_tools.scan.entry import Entry, is_left_out
from ckpt_tools.storage.files import open_regular
from ckpt_tools.storage.session import is_remote

if TYPE_CHECKING:
    from collections.abc import Iterator

_KINDS = (
    (stat.S_ISREG, "file"),
    (stat.S_ISDIR, "folder"),
    (stat.S_ISLNK, "link"),
    (stat.S_ISFIFO, "pipe"),
    (stat.S_ISSOCK, "socket"),
)


class _Root(NamedTuple):
    """The folder as it was named, and the real folders in which a link may end without leaving it."""

    path: str
    homes: tuple[str, ...]


def listing(root: str, *, contents: bool = True) -> tuple[Entry, ...]:
    """Return an entry for everything in the folder `root` and below, sorted by path.

    Raises Unreadable for a folder that cannot be listed.

    Of a folder on the Hub, `contents` says whether files are fetched to look into them.
    """
    if is_remote(root):
        return hub_folder.entries(root, contents=contents)
    place = _Root(root, _homes(root))
    held = 0
    found: list[Entry] = []
    for path, status in _walk(root):
        entry = _entry(place, path, status, TOTAL_LIMIT - held)
        held += len(entry.text or "") + len(entry.header or "") + len(entry.strings or "")
        found.append(entry)
    return tuple(sorted(found, key=lambda entry: entry.path))


def single(path: str) -> tuple[Entry, ...]:
    """Return the entry of one file, as if it were alone in its folder."""
    if is_remote(path):
        return hub_folder.entries(path, contents=True)
    folder, name = os.path.split(path)
    folder = folder or "."
    return (_entry(_Root(folder, _homes(folder)), name, os.lstat(path), TOTAL_LIMIT),)


def _homes(root: str) -> tuple[str, ...]:
    """Return the real folders that belong to `root`.

    Itself, and for a snapshot in the Hugging Face cache, whose files are links, the blobs beside
    it.
    """
    real = os.path.realpath(root)
    above, _ = os.path.split(real)
    repository, name = os.path.split(above)
    blobs = (os.path.join(repository, "blobs", ""),) if name == "snapshots" else ()
    return (os.path.join(real, ""), *blobs)


def _walk(root: str) -> Iterator[tuple[str, os.stat_result]]:
    """Yield (path, status) of everything below `root`, folders with a trailing `/`.

    Without recursion: depth is the sender's choice.
    """
    waiting = [""]
    while waiting:
        below = waiting.pop()
        for name, status in _inside(os.path.join(root, below) if below else root):
            path = f"{below}{name}"
            if stat.S_ISDIR(status.st_mode):
                path = f"{path}/"
                if not is_left_out(path):
                    waiting.append(path)
            yield path, status


def _inside(folder: str) -> list[tuple[str, os.stat_result]]:
    try:
        with os.scandir(folder) as entries:
            return [(item.name, item.stat(follow_symlinks=False)) for item in entries]
    except OSError as error:
        raise Unreadable(
            (error.strerror or str(error)).lower(),
            path=folder,
            hint="what cannot be listed cannot be judged: ask for read access",
        ) from None


def _entry(root: _Root, path: str, status: os.stat_result, budget: int) -> Entry:
    kind = next((name for test, name in _KINDS if test(status.st_mode)), "device")
    mode = stat.S_IMODE(status.st_mode)
    if kind not in ("file", "link"):
        return Entry(path=path, kind=kind, mode=mode)
    full = os.path.join(root.path, path)
    looked = _look(full, path, budget, is_link=kind == "link")
    target = os.readlink(full) if kind == "link" else ""
    leaves = kind == "link" and not os.path.realpath(full).startswith(root.homes)
    return Entry(path=path, kind=kind, mode=mode, target=target, leaves=leaves, **looked._asdict())


def _look(full: str, path: str, budget: int, *, is_link: bool) -> Content:
    """Return what is in a file.

    Of what is no regular file, and of what cannot be read, only why not.
    """
    if is_link and not os.path.isfile(full):  # a pipe behind a link must not even be opened
        there = os.path.exists(full)
        return Content(
            unread=""
            if os.path.isdir(full)
            else "it leads to what is no file"
            if there
            else "it leads nowhere"
        )
    try:
        with open_regular(full) as (descriptor, size):
            return seen(descriptor, size, full, path.lower(), budget)
    except CkptError as error:
        return Content(unread=error.what)
