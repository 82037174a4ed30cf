"""Everything that lies in a folder and below it, looked at without following a link out of it and without waiting for a pipe."""

# ruff: noqa: PTH115 - paths are strings as the user typed them; importing pathlib costs start-up time
from __future__ import annotations

import os
import stat
from typing import TYPE_CHECKING

from ckpt_tools.errors import CkptError
from ckpt_tools.records.listing import Entry
from ckpt_tools.store.files import open_regular, read_at

if TYPE_CHECKING:
    from collections.abc import Iterator

HEAD = 64
TEXT_LIMIT = 8 << 20
"""Text files are kilobytes; what is larger is not looked through for words."""

_TEXTS = (".json", ".jsonl", ".md", ".txt", ".yaml", ".yml", ".toml", ".py", ".cfg", ".ini", ".sh", ".csv", ".xml", ".html", ".log", ".env", ".jinja")
_KINDS = ((stat.S_ISREG, "file"), (stat.S_ISDIR, "folder"), (stat.S_ISLNK, "link"), (stat.S_ISFIFO, "pipe"), (stat.S_ISSOCK, "socket"))


def listing(root: str) -> tuple[Entry, ...]:
    """Return an entry for everything in the folder `root` and below, sorted by path; folders that links lead to are not entered."""
    return tuple(sorted(_walk(root, "")))


def _walk(root: str, below: str) -> Iterator[Entry]:
    with os.scandir(os.path.join(root, below) if below else root) as entries:
        found = list(entries)
    for item in found:
        path = f"{below}{item.name}"
        status = item.stat(follow_symlinks=False)
        kind = next((name for test, name in _KINDS if test(status.st_mode)), "device")
        if kind == "folder":
            yield Entry(path=f"{path}/", kind=kind, mode=stat.S_IMODE(status.st_mode))
            yield from _walk(root, f"{path}/")
        else:
            yield _entry(root, path, kind, status)


def _entry(root: str, path: str, kind: str, status: os.stat_result) -> Entry:
    full = os.path.join(root, path)
    target = os.readlink(full) if kind == "link" else ""
    leaves = kind == "link" and _leaves(root, full)
    head, text, size = _look(full, path) if kind in ("file", "link") else (b"", None, status.st_size)
    return Entry(path=path, kind=kind, size=size, mode=stat.S_IMODE(status.st_mode), target=target, leaves=leaves, head=head, text=text)


def _leaves(root: str, full: str) -> bool:
    home = os.path.realpath(root)
    return not os.path.realpath(full).startswith(os.path.join(home, ""))


def _look(full: str, path: str) -> tuple[bytes, str | None, int]:
    """Return the first bytes, the text where it is a text file by name or by look, and the size of what is there; nothing where it cannot be read."""
    try:
        with open_regular(full) as (descriptor, size):
            head = read_at(descriptor, min(HEAD, size), 0, full)
            if size > TEXT_LIMIT or not (path.lower().endswith(_TEXTS) or _looks_like_text(head)):
                return head, None, size
            return head, read_at(descriptor, size, 0, full).decode("utf-8", "replace"), size
    except CkptError:
        return b"", None, 0


def _looks_like_text(head: bytes) -> bool:
    return b"\0" not in head and all(byte >= 32 or byte in b"\t\n\r\f\x1b" for byte in head)  # noqa: PLR2004 - the first printable character
