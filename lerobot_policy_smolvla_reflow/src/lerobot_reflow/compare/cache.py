"""Measurements that an earlier run of the command finished: JSON files in the output folder."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

NAMED = 16  # digits of an identity in a file's name


def key(identity: Mapping[str, Any]) -> str:
    """A name for an identity: everything that determines a measurement."""
    return hashlib.sha256(json.dumps(identity, sort_keys=True).encode()).hexdigest()[:NAMED]


def remembered(folder: Path, identity: Mapping[str, Any], compute: Callable[[], Any]) -> Any:
    """The stored result of `compute` for this identity, or a new one, which is stored."""
    file = folder / f"{key(identity)}.json"
    try:
        return json.loads(file.read_bytes())["result"]
    except (OSError, ValueError, KeyError):
        result = compute()
        write(file, json.dumps({"identity": identity, "result": result}))
        return result


def write(file: Path, text: str) -> None:
    """Put a complete file in place, flushed to disk, and its folder if it is missing."""
    file.parent.mkdir(parents=True, exist_ok=True)
    staged = file.with_name(f".{file.name}.{os.getpid()}")
    with staged.open("w", encoding="utf-8") as stream:
        stream.write(text)
        stream.flush()
        os.fsync(stream.fileno())
    staged.replace(file)
