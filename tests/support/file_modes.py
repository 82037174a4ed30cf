"""The umask, and the modes of the files in a folder."""

from __future__ import annotations

import os
import stat
from contextlib import contextmanager
from typing import TYPE_CHECKING

from tests.support import plans

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


MAKERS = (plans.merging, plans.rewriting, plans.dropping)


@contextmanager
def umask(mask: int) -> Iterator[None]:
    before = os.umask(mask)
    try:
        yield
    finally:
        os.umask(before)


def modes(folder: Path) -> dict[str, int]:
    return {
        str(path.relative_to(folder)): stat.S_IMODE(path.lstat().st_mode)
        for path in folder.rglob("*")
    }
