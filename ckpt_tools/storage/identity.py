"""Whether a file is still the one that was looked at, told by what the system says of it."""

from __future__ import annotations

import os
from contextlib import contextmanager
from typing import TYPE_CHECKING, NamedTuple

from ckpt_tools.errors import ChangedDuringRead, CkptError
from ckpt_tools.storage.files import open_regular

if TYPE_CHECKING:
    from collections.abc import Iterator


class FileIdentity(NamedTuple):
    """What changes whenever anybody writes to a file, or puts another in its place."""

    device: int
    inode: int
    size: int
    mtime_ns: int
    ctime_ns: int


def identity_of(path: str) -> FileIdentity:
    """Return the mark of the regular file at `path`, links followed.

    Raises PathNotFound, NotAFile (a pipe is never waited for) or Unreadable.
    """
    with open_regular(path) as (descriptor, _):
        return _mark(descriptor)


@contextmanager
def open_unchanged(path: str, mark: FileIdentity) -> Iterator[int]:
    """Yield a descriptor of the file at `path`.

    Raises ChangedDuringRead, before or after the block, unless it is what `mark` says; errors get
    the path.
    """
    try:
        with open_regular(path) as (descriptor, _):
            _refuse_other(descriptor, mark)
            yield descriptor
            _refuse_other(descriptor, mark)
    except ChangedDuringRead:
        raise ChangedDuringRead("changed while it was read", path=path) from None
    except CkptError as error:
        raise error.at(path) from None


def _refuse_other(descriptor: int, mark: FileIdentity) -> None:
    if _mark(descriptor) != mark:
        raise ChangedDuringRead("is another file")


def _mark(descriptor: int) -> FileIdentity:
    status = os.fstat(descriptor)
    return FileIdentity(
        status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns
    )
