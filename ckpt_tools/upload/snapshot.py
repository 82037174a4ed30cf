"""The files of a folder as they are at one moment, and a private copy of exactly those bytes, for what must not change between being looked at and being sent.

A hard link would be cheaper, but whoever writes into the file would write into the copy; where the
file system can share blocks, the copy costs as little.
"""

from __future__ import annotations

import hashlib
import os
import tempfile
from contextlib import contextmanager
from typing import TYPE_CHECKING, NamedTuple

from ckpt_tools.errors import ChangedDuringRead, NotAFile
from ckpt_tools.scan.entry import is_left_out
from ckpt_tools.storage.copy import copy_range
from ckpt_tools.storage.durable import remove, writing
from ckpt_tools.storage.files import open_regular, read_at

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

_STEP = 1 << 20


class Seen(NamedTuple):
    """A file as it was when it was listed.

    `mark` changes whenever anybody writes to it or puts another in its place.
    """

    path: str
    size: int
    mark: tuple[int, int, int, int]


class Frozen(NamedTuple):
    """A file with what its bytes are: their SHA-256, and the id that git gives them."""

    path: str
    size: int
    sha256: str
    git_oid: str


def look(root: str, paths: Iterable[str]) -> tuple[Seen, ...]:
    """Return the files as they are now. Raises PathNotFound, NotAFile or Unreadable."""
    return tuple(_seen(root, path) for path in sorted(paths))


def _seen(root: str, path: str) -> Seen:
    with open_regular(os.path.join(root, path)) as (descriptor, size):
        return Seen(path, size, _mark(descriptor))


def files_below(root: str) -> tuple[str, ...]:
    """Return every file of the folder `root` and below that `hf upload` would take, sorted.

    Raises NotAFile for a pipe, a socket, a device.
    """
    found: list[str] = []
    for folder, names, files in os.walk(root):
        below = os.path.relpath(folder, root)
        prefix = "" if below == "." else f"{below}/"
        names[:] = sorted(name for name in names if not is_left_out(f"{prefix}{name}/"))
        for name in files:
            _refuse_special(os.path.join(folder, name))
            found.append(f"{prefix}{name}")
        for name in names:
            if os.path.islink(os.path.join(folder, name)):
                raise NotAFile(
                    "is a link to a folder, which would be left out of an upload",
                    path=os.path.join(folder, name),
                    hint="put the folder itself there, or remove the link",
                )
    return tuple(sorted(found))


def _refuse_special(path: str) -> None:
    with open_regular(path):
        pass


def frozen(root: str, seen: Iterable[Seen]) -> tuple[Frozen, ...]:
    """Return what the bytes of files are.

    Raises ChangedDuringRead where one is no longer what was seen.
    """
    return tuple(_digested(root, one) for one in seen)


def _digested(root: str, one: Seen) -> Frozen:
    full = os.path.join(root, one.path)
    with open_regular(full) as (descriptor, _):
        _same(descriptor, one, full)
        digest = _digest(descriptor, one, full)
        _same(descriptor, one, full)
    return digest


@contextmanager
def staged(root: str, seen: Iterable[Seen]) -> Iterator[tuple[str, tuple[Frozen, ...]]]:
    """Yield (a private folder that holds a read-only copy of exactly these files, what their bytes are); it is gone afterwards.

    Raises ChangedDuringRead where a file is no longer what was seen, NoSpace or Unwritable where
    there is no room.
    """
    home = _private_folder(root)
    try:
        folder = os.path.join(home, os.path.basename(os.path.realpath(root)) or "checkpoint")
        yield folder, tuple(_copied(root, one, folder) for one in seen)
    finally:
        remove(home)


def _private_folder(root: str) -> str:
    """Return a new folder of this user alone.

    Beside the checkpoint, where blocks can be shared, or else where temporary files go.
    """
    parent = os.path.dirname(os.path.realpath(root))
    try:
        return tempfile.mkdtemp(prefix=".ckpt-upload-", dir=parent)
    except OSError:
        with writing(tempfile.gettempdir()):
            return tempfile.mkdtemp(prefix="ckpt-upload-")


def _copied(root: str, one: Seen, folder: str) -> Frozen:
    source, target = os.path.join(root, one.path), os.path.join(folder, one.path)
    with open_regular(source) as (descriptor, _), writing(target):
        _same(descriptor, one, source)
        os.makedirs(os.path.dirname(target), mode=0o700, exist_ok=True)
        copy = os.open(target, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        try:
            copy_range(descriptor, copy, 0, one.size, 0)
            _same(descriptor, one, source)
            os.fchmod(copy, 0o400)
            return _digest(copy, one, target)
        finally:
            os.close(copy)


def _digest(descriptor: int, one: Seen, full: str) -> Frozen:
    sha256, git = hashlib.sha256(), hashlib.sha1(b"blob %d\0" % one.size, usedforsecurity=False)
    for start in range(0, one.size, _STEP):
        chunk = read_at(descriptor, min(_STEP, one.size - start), start, full)
        sha256.update(chunk)
        git.update(chunk)
    return Frozen(one.path, one.size, sha256.hexdigest(), git.hexdigest())


def _same(descriptor: int, one: Seen, full: str) -> None:
    if os.fstat(descriptor).st_size != one.size or _mark(descriptor) != one.mark:
        raise ChangedDuringRead(
            "changed after it was looked at",
            path=full,
            hint="nothing was uploaded; wait until nobody writes there, and try again",
        )


def _mark(descriptor: int) -> tuple[int, int, int, int]:
    status = os.fstat(descriptor)
    return status.st_dev, status.st_ino, status.st_mtime_ns, status.st_ctime_ns
