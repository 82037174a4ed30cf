"""The interface of what holds checkpoints: the local file system, the Hub, or another storage.

All have folders that list names and files that are read at an offset. Paths are strings: local
ones as the user typed them, those of a repository below its root `hf://owner/name@commit`, others
as their address starts.
"""

from __future__ import annotations

import os
from contextlib import contextmanager
from typing import TYPE_CHECKING, NamedTuple, Protocol

from ckpt_tools.storage.files import list_folder, open_regular, read_at, read_whole, size_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from contextlib import AbstractContextManager

HEADER_GUESS = 80 << 10
"""Bytes to fetch at least of a weight file whose header has an unknown length.

The header of a full-size SmolVLA has 73 kB.
"""

_MOST_GUESSED = 1 << 20
_PAYLOAD_PER_BYTE = 8192
"""Bytes of payload for each of the header: few large models have less, such as 4-bit ones."""


def header_guess(size: int) -> int:
    """Return how much to fetch of a weight file of `size` bytes to have its whole header."""
    guess = min(size // _PAYLOAD_PER_BYTE, _MOST_GUESSED)
    return min(size, max(guess, HEADER_GUESS))


class ReadableFile(Protocol):
    """An open file."""

    @property
    def size(self) -> int:
        """Bytes of the file."""

    def read(self, length: int, offset: int) -> bytes:
        """Return exactly `length` bytes from `offset`. Raises a StoreError with the path."""


class Storage(Protocol):
    """Folders and files by path. Methods raise PathNotFound for a path that does not exist.

    `near` says that reading a small file costs next to nothing, or that its sums are known.
    """

    @property
    def near(self) -> bool:
        """As the class says."""

    def names(self, folder: str) -> tuple[str, ...]:
        """Return the names in `folder`, sorted; folders with a trailing `/`."""

    def is_folder(self, path: str) -> bool:
        """Whether `path` is a folder or a link to one. Raises nothing."""

    def is_file(self, path: str) -> bool:
        """Whether `path` is a file or a link to one. Raises nothing."""

    def open(self, path: str) -> AbstractContextManager[ReadableFile]:
        """Yield the open file at `path`. Raises NotAFile or another StoreError."""

    def read(self, path: str, limit: int) -> bytes:
        """Return the bytes of the file at `path`.

        Raises Unreadable for more than `limit`, before reading it, and what `open` raises.
        """

    def known_sums(self, path: str) -> tuple[str, str]:
        """Return the SHA-256 and git's id of the file, "" unless known without reading it."""

    def size(self, path: str) -> int:
        """Return the bytes of the file at `path`."""

    def prefetch(self, parts: Iterable[tuple[str, int]]) -> None:
        """Fetch the first bytes, as many as given, of the files that are read next.

        0 is for a weight file whose header has an unknown length. Paths that do not exist are
        ignored.
        """


class RemoteStorage(Storage, Protocol):
    """A storage that is not on this machine, opened as `where`."""

    where: str

    @property
    def root(self) -> str:
        """The folder or file that was named, with what keeps it at one state if there is such."""


class LocalFile(NamedTuple):
    """A file of the local file system, open as `descriptor`."""

    descriptor: int
    size: int
    path: str

    def read(self, length: int, offset: int) -> bytes:
        """Return exactly `length` bytes from `offset`."""
        return read_at(self.descriptor, length, offset, self.path)


class LocalStorage:
    """The local file system."""

    near = True
    names = staticmethod(list_folder)
    is_folder = staticmethod(os.path.isdir)
    is_file = staticmethod(os.path.isfile)
    read = staticmethod(read_whole)
    size = staticmethod(size_of)

    @contextmanager
    def open(self, path: str) -> Iterator[ReadableFile]:
        """Yield the regular file at `path`."""
        with open_regular(path) as (descriptor, size):
            yield LocalFile(descriptor, size, path)

    def known_sums(self, path: str) -> tuple[str, str]:  # noqa: ARG002 - the protocol's signature
        """Return ("", ""): the file system stores no hashes."""
        return "", ""

    def prefetch(self, parts: Iterable[tuple[str, int]]) -> None:
        """Do nothing: local files are fast."""


LOCAL = LocalStorage()
