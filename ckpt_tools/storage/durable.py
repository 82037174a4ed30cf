"""The single steps of a write that survives a power failure, and the errors of each.

A failed step is never retried.
"""

from __future__ import annotations

import errno
import os
import signal
import stat
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

from ckpt_tools.errors import CkptError, NoSpace, Unwritable, WriteFailed

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

_FULL = (errno.ENOSPC, errno.EDQUOT)
_HINTS = {
    errno.EACCES: "ask for write access, or write elsewhere with --output",
    errno.EPERM: "ask for write access, or write elsewhere with --output",
    errno.EROFS: "write to another disk with --output",
    errno.ENOENT: "create its folder first",
    errno.ENOTDIR: "create its folder first",
    errno.ENAMETOOLONG: "choose a shorter name",
    errno.EXDEV: "it is on another disk: write to a new folder with --output",
    errno.EFBIG: "write to another disk with --output",
}


@contextmanager
def writing(path: str) -> Iterator[None]:
    """Raise NoSpace or Unwritable, with `path`, for an OSError in the block."""
    try:
        yield
    except OSError as error:
        raise refused(path, error) from None


def refused(path: str, error: OSError) -> WriteFailed:
    """Return the error for an OSError that a write to `path` met."""
    sentence = (error.strerror or str(error)).lower()
    if error.errno in _FULL:
        return NoSpace(f"cannot be written: {sentence}", path=path)
    return Unwritable(
        f"cannot be written: {sentence}",
        path=path,
        hint=_HINTS.get(error.errno or 0, "check the disk, or write to another one with --output"),
    )


@contextmanager
def uninterrupted() -> Iterator[None]:
    """Defer SIGINT, SIGTERM and SIGHUP to the end of the block, which must be short.

    Only the main thread receives signals.
    """
    received: list[int] = []
    before: dict[int, signal._HANDLER] = {}
    with suppress(ValueError):
        for signum in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            before[signum] = signal.signal(signum, lambda number, _: received.append(number))
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, signal.SIG_DFL if handler is None else handler)
        for number in received:
            signal.raise_signal(number)


@contextmanager
def new_file(path: str, like: os.stat_result | None = None) -> Iterator[int]:
    """Yield a descriptor of the new file `path`, and flush it to disk after the block.

    It gets the mode of the file `like` that it is to replace, and its owner if permitted. Raises
    Unwritable if the path exists.
    """
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
    with writing(path):
        descriptor = os.open(path, flags, 0o600 if like else 0o666)
    try:
        yield descriptor
        if like:
            _take_after(descriptor, like, path)
        sync(descriptor, path)
    finally:
        os.close(descriptor)


def _take_after(descriptor: int, like: os.stat_result, path: str) -> None:
    with writing(path):
        mine = os.fstat(descriptor)
        if (mine.st_uid, mine.st_gid) != (like.st_uid, like.st_gid):
            # Only root can give a file to another owner, and should when it edits theirs.
            with suppress(PermissionError):
                os.fchown(descriptor, like.st_uid, like.st_gid)
        os.fchmod(descriptor, stat.S_IMODE(like.st_mode))


def write_all(descriptor: int, data: bytes, path: str) -> None:
    """Write all of `data` at the current position of `descriptor`."""
    rest = memoryview(data)
    with writing(path):
        while rest:
            rest = rest[os.write(descriptor, rest) :]


def sync(descriptor: int, path: str) -> None:
    """Flush a file to disk.

    A failure is final: the kernel has dropped the unwritten data, and a second call would succeed.
    """
    with writing(path):
        os.fsync(descriptor)


def sync_folder(path: str) -> None:
    """Flush a folder's entries to disk."""
    with writing(path):
        descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(descriptor)
        except OSError as error:
            # Some network file systems do not support fsync of a folder.
            if error.errno != errno.EINVAL:
                raise
        finally:
            os.close(descriptor)


def sync_tree(path: str) -> None:
    """Flush the entries of a folder and of all folders below to disk, the deepest first."""
    with writing(path):
        below = tuple(
            entry.path for entry in os.scandir(path) if entry.is_dir(follow_symlinks=False)
        )
    for folder in below:
        sync_tree(folder)
    sync_folder(path)


def write_file(path: str, data: bytes) -> None:
    """Create a small file and flush it to disk."""
    with new_file(path) as descriptor:
        write_all(descriptor, data, path)


def make_folder(path: str) -> None:
    """Create a folder and its missing parents."""
    with writing(path):
        os.makedirs(path, exist_ok=True)


def rename(old: str, new: str) -> None:
    """Rename `old` to `new`, which is replaced if it exists."""
    with writing(new):
        os.replace(old, new)


def there(path: str) -> bool:
    """Whether `path` exists; a broken link does.

    Unlike os.path.lexists it raises if access fails: a wrong no could lose a file.
    """
    with writing(path):
        try:
            os.lstat(path)
        except (FileNotFoundError, NotADirectoryError):
            return False
    return True


def remove(path: str) -> None:
    """Remove a file, a link (not its target) or a folder with its contents, if it exists."""
    with writing(path):
        try:
            mode = os.lstat(path).st_mode
        except FileNotFoundError:
            return
        if not stat.S_ISDIR(mode):
            os.unlink(path)
            return
        names = sorted(os.listdir(path))
    for name in names:
        remove(os.path.join(path, name))
    with writing(path):
        os.rmdir(path)


def ensure_space(folder: str, sizes: Iterable[int]) -> None:
    """Raise NoSpace if files of `sizes` do not fit on the disk of `folder`."""
    with writing(folder):
        status = os.statvfs(folder)
    needed, free = sum(sizes), status.f_bavail * status.f_frsize
    # A file system that does not count its space reports that it has no blocks.
    if status.f_blocks and needed > free:
        raise NoSpace(f"has {free:,} bytes free, but {needed:,} are needed", path=folder)


def replace_text(path: str, text: str) -> None:
    """Write `text` in UTF-8 to a new file in place of the one at `path`, with its permissions.

    A link is replaced, not its target. Raises WriteFailed, and then leaves `path` unchanged.
    """
    folder, _ = os.path.split(path)
    temporary = os.path.join(folder, f".ckpt-{os.urandom(8).hex()}.tmp")
    try:
        with writing(path):
            status = os.stat(path) if there(path) else None
        with new_file(temporary, status) as descriptor:
            write_all(descriptor, text.encode(), temporary)
        rename(temporary, path)
        sync_folder(folder or ".")
    except WriteFailed as error:
        error.path = path
        error.next = (
            "free some space"
            if isinstance(error, NoSpace)
            else "ask for write access to the file's folder, and check the disk"
        )
        raise
    finally:
        with suppress(CkptError):  # it does not exist any more if all went well
            remove(temporary)


def ensure_writable(path: str) -> None:
    """Raise Unwritable if no file can be created in the folder of `path`."""
    folder = os.path.dirname(path) or "."
    if not os.path.isdir(folder) or not os.access(folder, os.W_OK | os.X_OK):
        raise Unwritable(
            "its folder does not exist or is not writable", path=path, hint="choose another file"
        )


def refuse_overwriting(
    path: str, name: str, read: Callable[[str], object], invalid: type[CkptError]
) -> None:
    """Raise `invalid` if `path` exists and is not a `name`, which `read` reads or rejects."""
    if not there(path):
        return
    try:
        read(path)
    except invalid as error:
        error.what = f"already exists and is not a {name}: {error.what}"
        error.next = "choose another file or remove it first"
        raise
