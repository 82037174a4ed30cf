"""Reading regular files and listing folders. Nothing but regular files is ever opened."""

from __future__ import annotations

import os
import stat
from contextlib import contextmanager
from typing import TYPE_CHECKING

from ckpt_tools.errors import (
    ChangedDuringRead,
    NotAFile,
    PathNotFound,
    RemoteNotSupported,
    Unreadable,
)
from ckpt_tools.storage.address import fetch_command, is_address
from ckpt_tools.storage.hub_name import SCHEME, is_hub_name
from ckpt_tools.strict_json.pointer import nearest

if TYPE_CHECKING:
    from collections.abc import Iterator

_KINDS = (
    (stat.S_ISDIR, "a folder"),
    (stat.S_ISFIFO, "a named pipe"),
    (stat.S_ISSOCK, "a socket"),
    (stat.S_ISCHR, "a device"),
    (stat.S_ISBLK, "a device"),
)


@contextmanager
def open_regular(path: str) -> Iterator[tuple[int, int]]:
    """Yield (descriptor, size in bytes) of the regular file at `path`, links followed.

    Raises PathNotFound, NotAFile (a pipe is never waited for) or Unreadable, each with the path.
    """
    try:
        # O_NONBLOCK: opening a named pipe would otherwise wait for a writer.
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    except OSError as error:
        raise read_error(path, error) from None
    try:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode):
            raise NotAFile(f"is {kind_of(status.st_mode)}, not a file", path=path)
        yield descriptor, status.st_size
    finally:
        os.close(descriptor)


def read_at(descriptor: int, length: int, offset: int, path: str) -> bytes:
    """Return exactly `length` bytes from `offset`.

    Raises ChangedDuringRead if the file is shorter, Unreadable if the disk fails.
    """
    chunks: list[bytes] = []
    while length > 0:
        try:
            chunk = os.pread(descriptor, length, offset)
        except OSError as error:
            raise read_error(path, error) from None
        if not chunk:
            raise ChangedDuringRead("became shorter while it was read", path=path)
        chunks.append(chunk)
        length -= len(chunk)
        offset += len(chunk)
    return b"".join(chunks)


def read_whole(path: str, limit: int, expected: str = "") -> bytes:
    """Return the bytes of the file at `path`.

    Raises Unreadable for more than `limit` bytes, before reading it. The error for a missing file,
    or for a folder in its place, names the kind of file that is `expected`.
    """
    if expected and not os.path.lexists(path):
        raise PathNotFound("no such file or directory", path=path, hint=f"expected {expected}")
    if expected and os.path.isdir(path):
        raise NotAFile("is a folder, not a file", path=path, hint=f"expected {expected}")
    with open_regular(path) as (descriptor, size):
        if size > limit:
            raise too_large(path, size, limit)
        return read_at(descriptor, size, 0, path)


def too_large(path: str, size: int, limit: int) -> Unreadable:
    """Return the error for a file of more bytes than are read at once."""
    return Unreadable(
        f"has {size:,} bytes; files of this kind may have at most {limit:,}",
        path=path,
        hint="check the program that wrote it",
    )


def list_folder(path: str) -> tuple[str, ...]:
    """Return the names in the folder `path`, sorted; folders with a trailing `/`.

    Raises PathNotFound or Unreadable.
    """
    try:
        with os.scandir(path) as entries:
            return tuple(sorted(entry.name + "/" * _is_folder(entry) for entry in entries))
    except OSError as error:
        raise read_error(path, error) from None


def _is_folder(entry: os.DirEntry[str]) -> bool:
    """Whether `entry` is a folder or a link to one; False for one that cannot be accessed."""
    try:
        return entry.is_dir()
    except OSError:
        return False


def size_of(path: str) -> int:
    """Return the bytes of the file at `path`, links followed; 0 for a broken link."""
    try:
        return os.stat(path).st_size
    except OSError:
        return 0


def kind_of(mode: int) -> str:
    """Return the kind of file that a file mode stands for: "a folder", "a named pipe"."""
    return next((name for test, name in _KINDS if test(mode)), "not a regular file")


def remote_not_supported(where: str) -> RemoteNotSupported:
    """Return the error for what is not on this machine, given to a command that needs that."""
    command, _ = fetch_command(where, where if is_address(where) else f"{SCHEME}{where}")
    there = "at a remote address" if is_address(where) else "a Hub repository"
    return RemoteNotSupported(
        f"is {there}, but this command needs local files",
        path=where,
        hint=f"download it first{': ' * bool(command)}{command}",
    )


def path_not_found(path: str, hint: str = "") -> PathNotFound | RemoteNotSupported:
    """Return the error for a local path that does not exist, or is a broken link.

    `hint` is what to do, by default what a path of a checkpoint can be.
    """
    if is_hub_name(path) or is_address(path):
        return remote_not_supported(path)
    if os.path.islink(path):
        return PathNotFound(
            "is a broken link", path=path, hint="fetch its target again, or link to another file"
        )
    is_page = path.startswith(("https://", "http://"))
    return PathNotFound(
        "no such file or directory",
        path=path,
        hint="write a checkpoint on the Hub as hf://owner/name" if is_page else hint,
    )


def similar_path(path: str) -> str:
    """Return the path beside a missing one whose name is most like its own, "" if none is."""
    folder, name = os.path.split(path.rstrip("/"))
    try:
        beside = sorted(os.listdir(folder or "."))
    except OSError:
        return ""
    like = nearest(name, [one for one in beside if not one.startswith(".")])
    return os.path.join(folder, like) if like else ""


def read_error(
    path: str, error: OSError, hint: str = ""
) -> PathNotFound | RemoteNotSupported | Unreadable:
    """Return the error for a path that the system failed to open, list or read.

    `hint` is what to do if nothing is there.
    """
    if isinstance(error, FileNotFoundError | NotADirectoryError):
        return path_not_found(path, hint)
    if isinstance(error, PermissionError):
        return Unreadable(
            "permission denied",
            path=path,
            hint="ask for read access, or run as the user who owns it",
        )
    return Unreadable(
        (error.strerror or str(error)).lower(), path=path, hint="check the path and the disk"
    )
