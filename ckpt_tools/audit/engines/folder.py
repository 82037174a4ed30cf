"""The work folder that an audit and its workers on other machines share, and what a worker does.

    batches/KEY.json   a batch, named by the digest of its content
    results/KEY.json   its result, which is there as a whole or not at all
    tasks/TASK.json    the keys of the batches of one task
    started/TASK       its worker runs

The folder is on a shared file system, or at an address that fsspec opens. Since names come from
contents, a run takes the results that an interrupted one has left; a worker that is started again
leaves out what is done. Nothing here is a pickle.
"""

from __future__ import annotations

import json
import os
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Protocol

from blake3 import blake3

from ckpt_tools.audit.batches import batch_text, parse_batch
from ckpt_tools.errors import PathNotFound, Unreadable, Unwritable
from ckpt_tools.storage.durable import make_folder, remove, replace_text
from ckpt_tools.storage.files import list_folder, read_whole

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

_LIMIT = 1 << 30
_KEY_BYTES = 16


class _Storage(Protocol):
    def read(self, path: str) -> bytes:
        """Return the bytes of a file. Raises a CkptError."""

    def write(self, path: str, text: str) -> None:
        """Write a file, as a whole or not at all. Raises WriteFailed."""

    def names(self, folder: str) -> Sequence[str]:
        """Return the names in a folder, none if it does not exist."""

    def remove(self, path: str) -> None:
        """Remove a file if it exists."""


class WorkFolder:
    """The files of an audit and its workers. Its methods raise a CkptError with the path."""

    def __init__(self, root: str) -> None:
        """Take a folder, which need not exist, or an address such as `s3://bucket/folder`."""
        is_address = "://" in root
        self.root = root.rstrip("/") if is_address else os.path.abspath(root)
        self.is_local = not is_address
        self._storage: _Storage = _Bucket(self.root) if is_address else _Local()

    def read(self, folder: str, name: str) -> str | None:
        """Return the text of a file, None if there is none, or none in UTF-8."""
        with suppress(PathNotFound, UnicodeDecodeError):
            return self._storage.read(f"{self.root}/{folder}/{name}").decode()
        return None

    def write(self, folder: str, name: str, text: str) -> None:
        """Write a file, as a whole or not at all."""
        self._storage.write(f"{self.root}/{folder}/{name}", text)

    def names(self, folder: str) -> frozenset[str]:
        """Return the names of the files in a folder."""
        return frozenset(self._storage.names(f"{self.root}/{folder}"))

    def remove(self, *names: tuple[str, str]) -> None:
        """Remove the files (folder, name) that exist."""
        for folder, name in names:
            self._storage.remove(f"{self.root}/{folder}/{name}")


def key_of(batch: str) -> str:
    """Return the name of a batch: the digest of all of it but its number, which a run gives."""
    text = batch_text(parse_batch(batch)._replace(number=0))
    return f"{blake3(text.encode()).hexdigest(_KEY_BYTES)}.json"


def work(folder: WorkFolder, task: str, examine: Callable[[str], str]) -> None:
    """Check the batches of a task, and leave their results in the folder.

    Those that have one are left out, and those that the run has taken back.
    """
    keys = json.loads(folder.read("tasks", f"{task}.json") or "[]")
    folder.write("started", task, "")
    for key in keys:
        if folder.read("results", key) is None:
            batch = folder.read("batches", key)
            if batch is not None:
                folder.write("results", key, examine(batch))


class _Local:
    """Files of a shared file system, flushed to disk."""

    def __init__(self) -> None:
        self._made: set[str] = set()

    def read(self, path: str) -> bytes:
        return read_whole(path, _LIMIT, "a file of an audit's workers")

    def write(self, path: str, text: str) -> None:
        folder = os.path.dirname(path)
        if folder not in self._made:
            make_folder(folder)
            self._made.add(folder)
        replace_text(path, text)

    def names(self, folder: str) -> Sequence[str]:
        with suppress(PathNotFound):
            return list_folder(folder)
        return []

    def remove(self, path: str) -> None:
        remove(path)


class _Bucket:
    """Objects at an address of fsspec: each is written by one request, as a whole or not at all."""

    def __init__(self, root: str) -> None:
        import fsspec  # noqa: PLC0415 - slow to import

        try:
            self._files: Any = fsspec.core.url_to_fs(root)[0]
        except (ImportError, ValueError) as error:
            raise Unwritable(f"cannot be opened: {error}", path=root) from None

    def read(self, path: str) -> bytes:
        try:
            return bytes(self._files.cat_file(path))
        except FileNotFoundError:
            raise PathNotFound("no such file", path=path) from None
        except Exception as error:  # noqa: BLE001 - each bucket's library has errors of its own
            raise Unreadable(f"cannot be read: {error}", path=path) from None

    def write(self, path: str, text: str) -> None:
        try:
            self._files.pipe_file(path, text.encode())
        except Exception as error:  # noqa: BLE001 - as above
            hint = "ask for write access, or choose another folder with --work"
            raise Unwritable(f"cannot be written: {error}", path=path, hint=hint) from None

    def names(self, folder: str) -> Sequence[str]:
        try:
            self._files.invalidate_cache()
            found: Iterable[str] = self._files.ls(folder, detail=False)
        except FileNotFoundError:
            return []
        except Exception as error:  # noqa: BLE001 - as above
            raise Unreadable(f"cannot be listed: {error}", path=folder) from None
        return [path.rstrip("/").rpartition("/")[2] for path in found]

    def remove(self, path: str) -> None:
        with suppress(Exception):  # what stays there is taken or written over by a later run
            self._files.rm_file(path)
