"""The single steps of a write that survives a power cut, and what the machine's refusals mean.

A step that failed is never tried again.
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
    from collections.abc import Iterable, Iterator

_FULL = (errno.ENOSPC, errno.EDQUOT)
_HINTS = {
    errno.EACCES: "ask for write access, or write to another place with --output",
    errno.EPERM: "ask for write access, or write to another place with --output",
    errno.EROFS: "write to another disk with --output",
    errno.ENOENT: "make its folder first",
    errno.ENOTDIR: "make its folder first",
    errno.ENAMETOOLONG: "choose a shorter name",
    errno.EXDEV: "it is on another disk: write to a new folder with --output",
    errno.EFBIG: "write to another disk with --output",
}


@contextmanager
def writing(path: str) -> Iterator[None]:
    """Turn an OSError of the block into NoSpace or Unwritable, with `path`."""
    try:
        yield
    except OSError as error:
        raise refused(path, error) from None


def refused(path: str, error: OSError) -> WriteFailed:
    """Return what `error`, met when writing to `path`, means."""
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
    """Hold back Ctrl-C and requests to end until the block has ended; it must be short.

    Threads other than the main one are never interrupted.
    """
    heard: list[int] = []
    before: dict[int, signal._HANDLER] = {}
    with suppress(ValueError):
        for wanted in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            before[wanted] = signal.signal(wanted, lambda number, _: heard.append(number))
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, signal.SIG_DFL if handler is None else handler)
        for number in heard:
            signal.raise_signal(number)


def create(path: str, mode: int = 0o666) -> int:
    """Return a descriptor of the new file `path`, less umask.

    Raises Unwritable where there is anything already.
    """
    with writing(path):
        return os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, mode)


def write_all(descriptor: int, data: bytes, path: str) -> None:
    """Write all of `data` where `descriptor` stands."""
    rest = memoryview(data)
    with writing(path):
        while rest:
            rest = rest[os.write(descriptor, rest) :]


def sync(descriptor: int, path: str) -> None:
    """Bring a file's bytes to the disk.

    A failure is final: the kernel has dropped what it could not write, and a second call would say
    all is well.
    """
    with writing(path):
        os.fsync(descriptor)


def sync_folder(path: str) -> None:
    """Bring a folder's names to the disk."""
    with writing(path):
        descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(descriptor)
        except OSError as error:
            # Some network file systems have nothing to do for a folder, and say so.
            if error.errno != errno.EINVAL:
                raise
        finally:
            os.close(descriptor)


def sync_tree(path: str) -> None:
    """Bring the names in a folder and in all folders below to the disk, the lowest first."""
    with writing(path):
        below = tuple(
            entry.path for entry in os.scandir(path) if entry.is_dir(follow_symlinks=False)
        )
    for folder in below:
        sync_tree(folder)
    sync_folder(path)


def write_file(path: str, data: bytes) -> None:
    """Write a new small file and bring it to the disk."""
    descriptor = create(path)
    try:
        write_all(descriptor, data, path)
        sync(descriptor, path)
    finally:
        os.close(descriptor)


def make_folder(path: str) -> None:
    """Make a folder and those above that are not there."""
    with writing(path):
        os.makedirs(path, exist_ok=True)


def rename(old: str, new: str) -> None:
    """Give `old` the name `new`, in the place of any file of that name."""
    with writing(new):
        os.replace(old, new)


def there(path: str) -> bool:
    """Whether there is anything at `path`, a link included.

    Unlike os.path.lexists it raises where that cannot be told: a wrong no could cost a file.
    """
    with writing(path):
        try:
            os.lstat(path)
        except (FileNotFoundError, NotADirectoryError):
            return False
    return True


def remove(path: str) -> None:
    """Remove what is at `path`, if anything.

    A file, a link (never what it leads to), or a folder with all that is in it.
    """
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
    """Raise NoSpace where files of `sizes` cannot fit on the disk that `folder` is on."""
    with writing(folder):
        found = os.statvfs(folder)
    needed, free = sum(sizes), found.f_bavail * found.f_frsize
    # A file system that cannot tell says that it has no blocks at all.
    if found.f_blocks and needed > free:
        raise NoSpace(f"has {free:,} bytes free, and {needed:,} are to be written", path=folder)


def replace_text(path: str, text: str) -> None:
    """Put a new file with `text` in UTF-8 in the place of the file at `path`, with its permissions.

    A link is replaced, never the file it leads to.

    Raises WriteFailed; then what was there is there unchanged.
    """
    _put(path, text, new=False)


def put_text(path: str, text: str) -> None:
    """As `replace_text`, also where there is no file yet."""
    _put(path, text, new=not there(path))


def _put(path: str, text: str, *, new: bool) -> None:
    folder, _ = os.path.split(path)
    temporary = os.path.join(folder, f".ckpt-{os.urandom(8).hex()}.tmp")
    try:
        with writing(path):
            status = None if new else os.stat(path)
        _write(temporary, text, status)
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
        # Gone already where all went well.
        with suppress(CkptError):
            remove(temporary)


def _write(temporary: str, text: str, status: os.stat_result | None) -> None:
    descriptor = create(temporary, 0o600 if status else 0o666)
    try:
        if status:
            _keep_owner(descriptor, status, temporary)
        write_all(descriptor, text.encode(), temporary)
        sync(descriptor, temporary)
    finally:
        os.close(descriptor)


def _keep_owner(descriptor: int, status: os.stat_result, temporary: str) -> None:
    with writing(temporary):
        # Another's file stays theirs where we may say so, which is where root edits it.
        with suppress(PermissionError):
            os.fchown(descriptor, status.st_uid, status.st_gid)
        os.fchmod(descriptor, status.st_mode & 0o777)
