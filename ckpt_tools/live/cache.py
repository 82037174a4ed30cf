"""Answers of earlier runs, in the user's cache folder.

An answer is that to the same config, the same local copies, and the same versions of the libraries,
as long as the other files that were read for it are the same. A cache file that cannot be used is
ignored, and written again.
"""

from __future__ import annotations

import hashlib
import json
import os
from contextlib import suppress
from typing import Any

from ckpt_tools.errors import CkptError, WriteFailed
from ckpt_tools.storage.durable import replace_text
from ckpt_tools.storage.files import read_whole
from ckpt_tools.values.cache import evict, folder

FORMAT = 1
"""Raised when what is remembered, or the way it is found, changes."""

_LIMIT = 32_000_000
_FOLDER = "live"


def key_of(*parts: object) -> str:
    """Return the name of the cache file for an answer that depends on these JSON values."""
    return _digest(json.dumps([FORMAT, *parts]).encode())


def remembered(key: str) -> dict[str, Any]:
    """Return the answer of an earlier run, an empty one if there is none that still holds."""
    path = os.path.join(folder(_FOLDER), f"{key}.json")
    try:
        digest, _, text = read_whole(path, _LIMIT).partition(b"\n")
        if digest != _digest(text).encode():
            return {}
        held = json.loads(text)
        if held["key"] != key or any(_file(one) != sum_ for one, sum_ in held["used"].items()):
            return {}
        os.utime(path)
        return dict(held["answer"])
    except (CkptError, OSError, ValueError, TypeError, KeyError, AttributeError, RecursionError):
        return {}


def remember(key: str, answer: dict[str, Any], used: list[str]) -> None:
    """Keep an answer, for which the files `used` were read."""
    if not folder(_FOLDER):
        return
    with suppress(WriteFailed, CkptError, OSError, ValueError):
        os.makedirs(folder(_FOLDER), mode=0o700, exist_ok=True)
        sums = {os.path.realpath(path): _file(path) for path in used if os.path.isfile(path)}
        text = json.dumps({"key": key, "used": sums, "answer": answer}, separators=(",", ":"))
        path = os.path.join(folder(_FOLDER), f"{key}.json")
        replace_text(path, f"{_digest(text.encode())}\n{text}")
        evict(_FOLDER)


def _file(path: str) -> str:
    """Return the digest of a small file, its size and time for a large one. Raises OSError."""
    status = os.stat(path)
    if status.st_size > _LIMIT:
        return f"{status.st_size} {status.st_mtime_ns}"
    return _digest(read_whole(path, _LIMIT))


def _digest(data: bytes) -> str:
    return hashlib.blake2b(data, digest_size=20).hexdigest()
