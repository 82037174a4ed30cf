"""SHA-256 and git's blob id of a file's content: the names that the Hub gives it.

BLAKE3, which manifests use, is in `manifest.digests`.
"""

from __future__ import annotations

import hashlib
from typing import NamedTuple

from ckpt_tools.storage.files import open_regular, read_at

_STEP = 1 << 20


class ContentSums(NamedTuple):
    """Both sums in hexadecimal, "" for one that was not requested."""

    sha256: str
    git_id: str


class ContentHasher:
    """Sums of `size` bytes that `update` gets in order."""

    def __init__(self, size: int, *, sha256: bool = True, git: bool = True) -> None:
        self._sha256 = hashlib.sha256() if sha256 else None
        self._git = hashlib.sha1(b"blob %d\0" % size, usedforsecurity=False) if git else None

    def update(self, data: bytes | memoryview) -> None:
        """Add the next bytes."""
        for hasher in (self._sha256, self._git):
            if hasher:
                hasher.update(data)

    def sums(self) -> ContentSums:
        """Return the sums of the bytes so far."""
        return ContentSums(
            *(hasher.hexdigest() if hasher else "" for hasher in (self._sha256, self._git))
        )


def sums_of(data: bytes) -> ContentSums:
    """Return the sums of `data`."""
    hasher = ContentHasher(len(data))
    hasher.update(data)
    return hasher.sums()


def sha256_at(path: str) -> str:
    """Return the SHA-256 of the file at `path`. Raises PathNotFound, NotAFile or Unreadable."""
    with open_regular(path) as (descriptor, size):
        return sums_of_file(descriptor, size, path, git=False).sha256


def sums_of_file(descriptor: int, size: int, path: str, *, git: bool = True) -> ContentSums:
    """Return the sums of the first `size` bytes of the open file at `path`.

    Raises ChangedDuringRead if it is shorter, Unreadable.
    """
    hasher = ContentHasher(size, git=git)
    for start in range(0, size, _STEP):
        hasher.update(read_at(descriptor, min(_STEP, size - start), start, path))
    return hasher.sums()
