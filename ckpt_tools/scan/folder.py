"""Lists everything in a folder and below it, with its content.

Only regular files are opened, so nothing can block. Folders behind links are not entered, and
folders that no upload includes, such as `.git/`, are listed without their contents.
"""

from __future__ import annotations

import os
import stat
from typing import TYPE_CHECKING, Any

from ckpt_tools.errors import CkptError, Unreadable
from ckpt_tools.scan import hub_folder
from ckpt_tools.scan.content import TOTAL_LIMIT, inspect
from ckpt_tools.scan.entry import Entry, is_never_uploaded
from ckpt_tools.storage.files import open_regular
from ckpt_tools.storage.recording import Codec, observed
from ckpt_tools.storage.session import is_remote

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ckpt_tools.storage.recording import Recording

_KINDS = (
    (stat.S_ISREG, "file"),
    (stat.S_ISDIR, "folder"),
    (stat.S_ISLNK, "link"),
    (stat.S_ISFIFO, "pipe"),
    (stat.S_ISSOCK, "socket"),
)


def listing(root: str, *, contents: bool = True) -> tuple[Entry, ...]:
    """Return an entry for everything in the folder `root` and below, sorted by path.

    For a folder on the Hub, `contents` says whether files are fetched and inspected. Raises
    Unreadable for a folder that cannot be listed.
    """
    return observed("entries", root, lambda: _listed(root, contents=contents), _CODEC)


def _stored(entries: tuple[Entry, ...], recording: Recording) -> list[dict[str, object]]:
    """Return entries as JSON values, without `strings`, which only the gate's rules read."""
    return [
        one._asdict()
        | {
            "head": one.head.hex(),
            "text": recording.keep_text(one.path, one.text),
            "header": recording.keep_text(one.path, one.header),
            "strings": None,
        }
        for one in entries
    ]


def _restored(value: list[dict[str, Any]], recording: Recording) -> tuple[Entry, ...]:
    return tuple(
        Entry(
            **one
            | {
                "head": bytes.fromhex(one["head"]),
                "text": recording.kept_text(one["text"]),
                "header": recording.kept_text(one["header"]),
                "imports": tuple(one["imports"]),
            }
        )
        for one in value
    )


_CODEC = Codec(_stored, _restored)


def _listed(root: str, *, contents: bool) -> tuple[Entry, ...]:
    if is_remote(root):
        return hub_folder.entries(root, contents=contents)
    inner, held = _inner_folders(root), 0
    found: list[Entry] = []
    for path, status in _walk(root):
        found.append(_entry(root, inner, path, status, TOTAL_LIMIT - held))
        held += found[-1].held
    return tuple(sorted(found, key=lambda entry: entry.path))


def single(path: str) -> tuple[Entry, ...]:
    """Return the entry of one file, as if it were alone in its folder."""
    if is_remote(path):
        return hub_folder.entries(path, contents=True)
    folder, name = os.path.split(path)
    folder = folder or "."
    return (_entry(folder, _inner_folders(folder), name, os.lstat(path), TOTAL_LIMIT),)


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


def _entry(
    root: str, inner: tuple[str, ...], path: str, status: os.stat_result, budget: int
) -> Entry:
    kind = next((name for test, name in _KINDS if test(status.st_mode)), "device")
    mode = stat.S_IMODE(status.st_mode)
    full = os.path.join(root, path)
    if kind == "file":
        return _inspected(full, path, budget)._replace(mode=mode)
    if kind != "link":
        return Entry(path, kind, mode=mode)
    if os.path.isfile(full):  # a pipe behind a link must not even be opened
        entry = _inspected(full, path, budget)
    else:
        broken = "the link leads nowhere"
        other = "" if os.path.isdir(full) else "the link does not lead to a file"
        entry = Entry(path, kind, unread=other if os.path.exists(full) else broken)
    leaves = not os.path.realpath(full).startswith(inner)
    return entry._replace(kind=kind, mode=mode, target=os.readlink(full), leaves=leaves)


def _inspected(full: str, path: str, budget: int) -> Entry:
    try:
        with open_regular(full) as (descriptor, size):
            return inspect(descriptor, size, full, path, budget)
    except CkptError as error:
        return Entry(path, "file", unread=error.what)
