"""Whether a file is still the one that was opened before, by its inode, size and times."""

from __future__ import annotations

import os
from contextlib import contextmanager
from typing import TYPE_CHECKING, NamedTuple

from ckpt_tools.errors import ChangedDuringRead, CkptError
from ckpt_tools.storage.files import open_regular

if TYPE_CHECKING:
    from collections.abc import Iterator


class FileIdentity(NamedTuple):
    """What changes whenever a file is written to or replaced."""

    device: int
    inode: int
    size: int
    mtime_ns: int
    ctime_ns: int


def identity_of(descriptor: int) -> FileIdentity:
    """Return the identity of an open file."""
    status = os.fstat(descriptor)
    return FileIdentity(
        status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns
    )


def identity_at(path: str) -> FileIdentity:
    """Return the identity of the regular file at `path`, links followed.

    Raises PathNotFound, NotAFile (a pipe is never waited for) or Unreadable.
    """
    with open_regular(path) as (descriptor, _):
        return identity_of(descriptor)


def check_unchanged(descriptor: int, expected: FileIdentity, path: str) -> None:
    """Raise ChangedDuringRead, which names `path`, unless the open file has this identity."""
    if identity_of(descriptor) != expected:
        raise ChangedDuringRead("changed while it was read", path=path)


@contextmanager
def open_unchanged(path: str, expected: FileIdentity) -> Iterator[int]:
    """Yield a descriptor of the file at `path`; errors in the block get the path.

    Raises ChangedDuringRead, before or after the block, unless the file has this identity.
    """
    with open_regular(path) as (descriptor, _):
        check_unchanged(descriptor, expected, path)
        try:
            yield descriptor
        except CkptError as error:
            check_unchanged(descriptor, expected, path)
            raise error.at(path) from None
        check_unchanged(descriptor, expected, path)
