"""Facts about paths and sizes that several packages share."""

from __future__ import annotations

import re

LENGTH_BYTES = 8
"""A file starts with the header's length, little endian."""


def leaves_folder(path: str) -> bool:
    """Whether `path`, written inside a checkpoint's file, can lead out of the checkpoint's folder on any operating system."""
    parts = path.replace("\\", "/").split("/")
    return (
        parts[0] == "" or ".." in parts or re.match(r"[A-Za-z]:", path) is not None or "\0" in path
    )
