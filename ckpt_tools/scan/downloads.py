"""Downloads from the Hub that were not finished: what the Hub's client keeps beside the files."""

from __future__ import annotations

import os

_KEPT = os.path.join(".cache", "huggingface", "download")


def unfinished(root: str) -> tuple[str, ...]:
    """Return the paths of parts of files in the client's folder below a local folder, sorted."""
    found: list[str] = []
    for folder, _, names in os.walk(os.path.join(root, _KEPT)):
        found += (os.path.join(folder, name) for name in names if name.endswith(".incomplete"))
    return tuple(sorted(os.path.relpath(path, root) for path in found))
