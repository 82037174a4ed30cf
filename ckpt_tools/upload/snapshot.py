"""The files of a folder as they are at one moment, and a private copy of exactly those bytes, for what must not change between being looked at and being sent.

A hard link would be cheaper, but whoever writes into the file would write into the copy; where the
file system can share blocks, the copy costs as little.
"""

from __future__ import annotations

import os
import tempfile
from contextlib import contextmanager
from typing import TYPE_CHECKING, NamedTuple

from ckpt_tools.errors import NotAFile
from ckpt_tools.scan.entry import is_never_uploaded
from ckpt_tools.storage.copy import copy_range
from ckpt_tools.storage.digests import sums_of_file
from ckpt_tools.storage.durable import remove, writing
from ckpt_tools.storage.files import open_regular
from ckpt_tools.storage.identity import identity_at, open_unchanged

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from ckpt_tools.storage.identity import FileIdentity


class Frozen(NamedTuple):
    """A file with what its bytes are: their SHA-256, and the id that git gives them."""

    path: str
    size: int
    sha256: str
    git_oid: str


def look(root: str, paths: Iterable[str]) -> dict[str, FileIdentity]:
    """Return the files as they are now, by path.

    Raises PathNotFound, NotAFile or Unreadable.
    """
    return {path: identity_at(os.path.join(root, path)) for path in sorted(paths)}


def files_below(root: str) -> tuple[str, ...]:
    """Return every file of the folder `root` and below that `hf upload` would take, sorted.

    Raises NotAFile for a pipe, a socket, a device.
    """
    found: list[str] = []
    for folder, names, files in os.walk(root):
        below = os.path.relpath(folder, root)
        prefix = "" if below == "." else f"{below}/"
        names[:] = sorted(name for name in names if not is_never_uploaded(f"{prefix}{name}/"))
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


def frozen(root: str, seen: Mapping[str, FileIdentity]) -> tuple[Frozen, ...]:
    """Return the sums of the bytes of files.

    Raises ChangedDuringRead where a file is no longer the one that was looked at.
    """
    return tuple(_digested(root, path, identity) for path, identity in seen.items())


def _digested(root: str, path: str, identity: FileIdentity) -> Frozen:
    full = os.path.join(root, path)
    with open_unchanged(full, identity) as descriptor:
        return Frozen(path, identity.size, *sums_of_file(descriptor, identity.size, full))


@contextmanager
def staged(root: str, seen: Mapping[str, FileIdentity]) -> Iterator[tuple[str, tuple[Frozen, ...]]]:
    """Yield (a private folder that holds a read-only copy of exactly these files, what their bytes are); it is gone afterwards.

    Raises ChangedDuringRead where a file is no longer what was seen, NoSpace or Unwritable where
    there is no room.
    """
    home = _private_folder(root)
    try:
        folder = os.path.join(home, os.path.basename(os.path.realpath(root)) or "checkpoint")
        yield folder, tuple(_copied(root, *one, folder) for one in seen.items())
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


def _copied(root: str, path: str, identity: FileIdentity, folder: str) -> Frozen:
    target = os.path.join(folder, path)
    with writing(target):
        os.makedirs(os.path.dirname(target), mode=0o700, exist_ok=True)
        copy = os.open(target, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        try:
            with open_unchanged(os.path.join(root, path), identity) as descriptor:
                copy_range(descriptor, copy, 0, identity.size, 0)
            os.fchmod(copy, 0o400)
            return Frozen(path, identity.size, *sums_of_file(copy, identity.size, target))
        finally:
            os.close(copy)
