"""The config that `ckpt config` is tested on, and the state of its folder."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from pathlib import Path

TEXT = (
    '{\r\n   "type": "smolvla",\r\n   "lr": 1E-4,\r\n   "name": "\\u00e9",\r\n   "tags": [1, 2,'
    ' 3],\r\n   "policy": {"device": "cuda"},\r\n   "a.b": {}\r\n}'
)


class Outcome(NamedTuple):
    """What a command left behind."""

    code: int
    out: str
    err: str


def content(folder: Path) -> bytes:
    return (folder / "config.json").read_bytes()


def state(folder: Path) -> dict[str, tuple[object, ...]]:
    """Return every file with what would tell that it was written."""
    found: dict[str, tuple[object, ...]] = {}
    for path in sorted(folder.iterdir()):
        status = path.lstat()
        found[path.name] = (
            status.st_ino,
            status.st_mtime_ns,
            status.st_mode,
            path.read_bytes() if path.is_file() else b"",
        )
    return found
