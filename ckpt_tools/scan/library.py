"""What the installed safetensors library says to weight files: users load them with it."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable


def refusals(root: str, paths: Iterable[str]) -> dict[str, str] | None:
    """Return why the library rejects each file in the folder `root`, "" for one that it opens.

    It reads headers only. None if it is not installed: the tool does not depend on it.
    """
    try:
        import safetensors as library  # noqa: PLC0415 - an extra; the gate asks it where it is
    except ImportError:
        return None
    found: dict[str, str] = {}
    for path in paths:
        try:
            with library.safe_open(os.path.join(root, path), framework="np") as file:
                file.keys()
        except (library.SafetensorError, OSError) as error:
            found[path] = str(error)
        else:
            found[path] = ""
    return found
