"""What the installed safetensors library says to weight files: users load them with it."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from ckpt_tools.errors import CkptError
from ckpt_tools.storage.files import read_whole

if TYPE_CHECKING:
    from collections.abc import Iterable

_SMALL = 1 << 24
"""Bytes up to which a file is read whole: to open one by its header, the library imports numpy."""


def refusals(root: str, paths: Iterable[str]) -> dict[str, str] | None:
    """Return why the library rejects each file in the folder `root`, "" for one that it opens.

    None if it is not installed: the tool does not depend on it.
    """
    try:
        import safetensors as library  # noqa: PLC0415 - an extra; the gate asks it where it is
    except ImportError:
        return None
    found: dict[str, str] = {}
    for path in paths:
        full = os.path.join(root, path)
        try:
            if os.path.getsize(full) <= _SMALL:
                library.deserialize(read_whole(full, _SMALL))  # type: ignore[no-untyped-call]  # the library has no type for it
            else:
                with library.safe_open(full, framework="np") as file:
                    file.keys()
        except (library.SafetensorError, OSError, CkptError) as error:
            found[path] = str(error)
        else:
            found[path] = ""
    return found
