"""Measurements that an earlier run of the command finished: JSON files in the output folder."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from ckpt_tools.errors import CkptError
from ckpt_tools.storage.durable import replace_text
from lerobot_reflow.compare.errors import CompareError

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
    """Put a complete file in place, flushed to disk, and its folder if it is missing.

    Raises CompareError.
    """
    make_folder(file.parent)
    try:
        replace_text(str(file), text)
    except CkptError as error:
        raise CompareError(str(error)) from error


def make_folder(folder: Path) -> None:
    """Make a folder that is missing. Raises CompareError."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise CompareError(
            f"{folder}: {error.strerror or error}; pass a folder that can be written to as --out"
        ) from error
