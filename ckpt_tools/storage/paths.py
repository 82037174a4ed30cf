"""Paths inside a checkpoint, and the length field of a safetensors file."""

from __future__ import annotations

import re

LENGTH_BYTES = 8
"""A safetensors file starts with the length of its header, little endian."""


def leaves_folder(path: str) -> bool:
    """Whether a path from a checkpoint's file leads outside its folder on any operating system."""
    parts = path.replace("\\", "/").split("/")
    return (
        parts[0] == "" or ".." in parts or re.match(r"[A-Za-z]:", path) is not None or "\0" in path
    )
