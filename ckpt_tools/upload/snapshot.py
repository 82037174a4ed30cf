"""A private copy of a folder's files at one moment, so that what is sent is what was checked.

A hard link would be cheaper, but writing to the file would change the link too; on a file system
that shares blocks, the copy takes no space.
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


class UploadedFile(NamedTuple):
    """A file to be sent, with its SHA-256 and its git blob id."""

    path: str
    size: int
    sha256: str
    git_oid: str


def identities(root: str, paths: Iterable[str]) -> dict[str, FileIdentity]:
    """Return the identity of each file, by path. Raises PathNotFound, NotAFile or Unreadable."""
    return {path: identity_at(os.path.join(root, path)) for path in sorted(paths)}


def files_below(root: str) -> tuple[str, ...]:
    """Return every file of the folder `root` and below that `hf upload` would send, sorted.

    Raises NotAFile for a pipe, a socket, a device, and for a link to a folder.
    """
    found: list[str] = []
    for folder, names, files in os.walk(root):
        below = os.path.relpath(folder, root)
        prefix = "" if below == "." else f"{below}/"
        names[:] = sorted(name for name in names if not is_never_uploaded(f"{prefix}{name}/"))
        for name in files:
            with open_regular(os.path.join(folder, name)):
                found.append(f"{prefix}{name}")
        for name in names:
            if os.path.islink(os.path.join(folder, name)):
                raise NotAFile(
                    "is a link to a folder, which an upload would leave out",
                    path=os.path.join(folder, name),
                    hint="replace the link with the folder, or remove it",
                )
    return tuple(sorted(found))


def hashed(root: str, files: Mapping[str, FileIdentity]) -> tuple[UploadedFile, ...]:
    """Hash files. Raises ChangedDuringRead for one that has changed."""
    found: list[UploadedFile] = []
    for path, identity in files.items():
        full = os.path.join(root, path)
        with open_unchanged(full, identity) as descriptor:
            sums = sums_of_file(descriptor, identity.size, full)
        found.append(UploadedFile(path, identity.size, *sums))
    return tuple(found)


@contextmanager
def staged(
    root: str, files: Mapping[str, FileIdentity]
) -> Iterator[tuple[str, tuple[UploadedFile, ...]]]:
    """Yield a private folder with a read-only copy of these files, and their hashes.

    The folder is removed afterwards. Raises ChangedDuringRead for a file that has changed, NoSpace
    or Unwritable.
    """
    private = _private_folder(root)
    try:
        folder = os.path.join(private, os.path.basename(os.path.realpath(root)) or "checkpoint")
        yield folder, tuple(_copied(root, *file, folder) for file in files.items())
    finally:
        remove(private)


def _private_folder(root: str) -> str:
    """Create a folder for this user alone: beside the checkpoint, or among temporary files."""
    parent = os.path.dirname(os.path.realpath(root))
    try:
        return tempfile.mkdtemp(prefix=".ckpt-upload-", dir=parent)
    except OSError:
        with writing(tempfile.gettempdir()):
            return tempfile.mkdtemp(prefix="ckpt-upload-")


def _copied(root: str, path: str, identity: FileIdentity, folder: str) -> UploadedFile:
    target = os.path.join(folder, path)
    with writing(target):
        os.makedirs(os.path.dirname(target), mode=0o700, exist_ok=True)
        copy = os.open(target, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        try:
            with open_unchanged(os.path.join(root, path), identity) as descriptor:
                copy_range(descriptor, copy, 0, identity.size, 0)
            os.fchmod(copy, 0o400)
            return UploadedFile(path, identity.size, *sums_of_file(copy, identity.size, target))
        finally:
            os.close(copy)
