"""Lists everything in a folder and below it, on disk or on the Hub, without opening a file.

Folders behind links are not entered, and folders that no upload includes, such as `.git/`, are
listed without their contents.
"""

from __future__ import annotations

import os
import stat
from typing import TYPE_CHECKING

from ckpt_tools.errors import Unreadable
from ckpt_tools.scan.entry import Entry, is_never_uploaded
from ckpt_tools.storage.session import is_remote, remote_storage

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ckpt_tools.storage.storage import RemoteStorage

_KINDS = (
    (stat.S_ISREG, "file"),
    (stat.S_ISDIR, "folder"),
    (stat.S_ISLNK, "link"),
    (stat.S_ISFIFO, "pipe"),
    (stat.S_ISSOCK, "socket"),
)


def tree(root: str) -> tuple[Entry, ...]:
    """Return an entry without content for everything in `root` and below, sorted by path.

    Raises Unreadable for a folder that cannot be listed.
    """
    if is_remote(root):
        found = _of_repository(remote_storage(root))
    else:
        inner = _inner_folders(root)
        found = (_entry(root, inner, path, status) for path, status in _walk(root))
    return tuple(sorted(found, key=lambda entry: entry.path))


def alone(path: str) -> Entry:
    """Return the entry of one file on disk, as if it were alone in its folder."""
    folder, name = os.path.split(path)
    return _entry(folder or ".", _inner_folders(folder or "."), name, os.lstat(path))


def _of_repository(storage: RemoteStorage) -> Iterator[Entry]:
    """Yield the entries of a repository, or of the one file that was named."""
    is_folder = storage.is_folder(storage.root)
    if not is_folder:
        yield Entry(storage.root.rpartition("/")[2], "file", storage.size(storage.root))
    waiting = [""] if is_folder else []
    while waiting:
        below = waiting.pop()
        folder = f"{storage.root}/{below.removesuffix('/')}" if below else storage.root
        for name in storage.names(folder):
            path = f"{below}{name}"
            if name.endswith("/"):
                waiting.append(path)
                yield Entry(path, "folder")
            else:
                yield Entry(path, "file", storage.size(f"{storage.root}/{path}"))


def _inner_folders(root: str) -> tuple[str, ...]:
    """Return the real folders in which a link may end without leaving `root`.

    For a snapshot in the Hugging Face cache, whose files are links, the blobs beside it too.
    """
    real = os.path.realpath(root)
    above, _ = os.path.split(real)
    repository, name = os.path.split(above)
    blobs = (os.path.join(repository, "blobs", ""),) if name == "snapshots" else ()
    return (os.path.join(real, ""), *blobs)


def _walk(root: str) -> Iterator[tuple[str, os.stat_result]]:
    """Yield (path, status) of everything below `root`, folders with a trailing `/`.

    Without recursion: the depth is the sender's choice.
    """
    waiting = [""]
    while waiting:
        below = waiting.pop()
        for name, status in _scan(os.path.join(root, below) if below else root):
            path = f"{below}{name}"
            if stat.S_ISDIR(status.st_mode):
                path = f"{path}/"
                if not is_never_uploaded(path):
                    waiting.append(path)
            yield path, status


def _scan(folder: str) -> list[tuple[str, os.stat_result]]:
    try:
        with os.scandir(folder) as entries:
            return [(item.name, item.stat(follow_symlinks=False)) for item in entries]
    except OSError as error:
        raise Unreadable(
            (error.strerror or str(error)).lower(),
            path=folder,
            hint="grant read access: a folder that cannot be listed cannot be checked",
        ) from None


def _entry(root: str, inner: tuple[str, ...], path: str, status: os.stat_result) -> Entry:
    kind = next((name for test, name in _KINDS if test(status.st_mode)), "device")
    entry = Entry(path, kind, mode=stat.S_IMODE(status.st_mode))
    if kind == "file":
        return entry._replace(size=status.st_size)
    if kind != "link":
        return entry
    full = os.path.join(root, path)
    if os.path.isfile(full):
        entry = entry._replace(size=os.stat(full).st_size)
    elif not os.path.exists(full):
        entry = entry._replace(unread="the link leads nowhere")
    elif not os.path.isdir(full):
        entry = entry._replace(unread="the link does not lead to a file")
    leaves = not os.path.realpath(full).startswith(inner)
    return entry._replace(target=os.readlink(full), leaves=leaves)
