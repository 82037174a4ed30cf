"""Where a checkpoint can lie, seen alike.

Folders that list names, files that are read at an offset. This machine's disk, or a repository on
the Hub.

Paths are strings: on the disk as the user typed them, in a repository below its root,
`hf://owner/name@commit`. What reads from the Hub is imported when the first name on the Hub is met.
"""

from __future__ import annotations

import os
from contextlib import contextmanager
from typing import TYPE_CHECKING, NamedTuple, Protocol

from ckpt_tools.storage.files import list_folder, open_regular, read_at, read_whole, size_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from contextlib import AbstractContextManager

    from ckpt_tools.storage.hub_name import Transfer

HEADER_GUESS = 80 << 10
"""Bytes wanted of a weight file of whose header nobody knows the length.

A full-size SmolVLA's has 73 kB; with its teacher it takes one request more.
"""


class ReadableFile(Protocol):
    """A file that is open: its size, and reading any part of it."""

    @property
    def size(self) -> int:
        """Bytes of the file."""

    def read(self, length: int, offset: int) -> bytes:
        """Return exactly `length` bytes from `offset`. Raises a StoreError with the path."""


class Storage(Protocol):
    """Folders and files by path.

    Every method that is given a path raises PathNotFound for one at which there is nothing, where
    it says so.
    """

    def names(self, folder: str) -> tuple[str, ...]:
        """Return the names in `folder`, sorted; folders with a trailing `/`.

        Raises PathNotFound.
        """

    def is_folder(self, path: str) -> bool:
        """Whether there is a folder, or what leads to one."""

    def is_file(self, path: str) -> bool:
        """Whether there is a file, or what leads to one."""

    def opened(self, path: str) -> AbstractContextManager[ReadableFile]:
        """Yield the file at `path`. Raises PathNotFound, NotAFile or another StoreError."""

    def whole(self, path: str, limit: int) -> bytes:
        """Return the bytes of the file at `path`.

        Raises Unreadable for one of more than `limit`, before reading it; and what `opened` raises.
        """

    def sums(self, path: str) -> tuple[str, str]:
        """Return the sha256 and git's id of the file at `path` as far as they are known without reading it, each "" where it is not."""

    def size(self, path: str) -> int:
        """Return the bytes of the file at `path`."""

    def expect(self, parts: Iterable[tuple[str, int]]) -> None:
        """Say which files are read next, and how many bytes from the start of each are wanted at the least. Raises nothing."""


class LocalFile(NamedTuple):
    """An `Opened` that is a file on the disk."""

    descriptor: int
    size: int
    path: str

    def read(self, length: int, offset: int) -> bytes:
        """Return exactly `length` bytes from `offset`."""
        return read_at(self.descriptor, length, offset, self.path)


class LocalStorage:
    """This machine's file system."""

    def names(self, folder: str) -> tuple[str, ...]:
        """Return the names in `folder`."""
        return list_folder(folder)

    def is_folder(self, path: str) -> bool:
        """Whether there is a folder, or a link to one."""
        return os.path.isdir(path)

    def is_file(self, path: str) -> bool:
        """Whether there is a file, or a link to one."""
        return os.path.isfile(path)

    @contextmanager
    def opened(self, path: str) -> Iterator[ReadableFile]:
        """Yield the regular file at `path`."""
        with open_regular(path) as (descriptor, size):
            yield LocalFile(descriptor, size, path)

    def whole(self, path: str, limit: int) -> bytes:
        """Return the bytes of the file at `path`."""
        return read_whole(path, limit)

    def sums(self, path: str) -> tuple[str, str]:  # noqa: ARG002 - the protocol's signature
        """Return nothing: a disk keeps no sums."""
        return "", ""

    def size(self, path: str) -> int:
        """Return the bytes of the file at `path`, links followed.

        0 for a link that leads nowhere.
        """
        return size_of(path)

    def expect(self, parts: Iterable[tuple[str, int]]) -> None:
        """Do nothing: a disk answers at once."""


LOCAL = LocalStorage()


# --- one verb, one commit -------------------------------------------------------------------------


class RemoteStorage(Storage, Protocol):
    """A repository at one commit."""

    @property
    def root(self) -> str:
        """The folder or file that was named, at the commit."""

    @property
    def repository(self) -> str:
        """The whole of it, at the commit."""

    @property
    def spent(self) -> Transfer:
        """What reading took so far."""

    def refuse_cached(self) -> None:
        """Raise Unreachable where the Hub is not asked, and its cache stands for it."""
