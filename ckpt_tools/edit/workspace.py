"""The hidden folder in which a write is prepared, by one process at a time.

Its lock is an flock, which the kernel releases when the process dies: leftovers of a dead writer
are those that can be locked.
"""

from __future__ import annotations

import fcntl
import os
from contextlib import ExitStack, contextmanager, suppress
from typing import TYPE_CHECKING, NamedTuple

from ckpt_tools.checkpoint.documents import WORK
from ckpt_tools.errors import LockedByOther, Unwritable, WriteFailed, WriteInterrupted
from ckpt_tools.storage.durable import make_folder, refused, remove, there, uninterrupted, writing

if TYPE_CHECKING:
    from collections.abc import Iterator

_LOCK = "lock"


_PARTS = ("new", "view", "old", "restored", "journal.json", "journal.draft")


class Workspace(NamedTuple):
    """The paths of a folder that only this process uses while its lock is open, and of its parts.

    `new` is the folder of finished files that are about to be published, `view` that of links in
    which the result of a write in place is verified before it, `old` that of files that are about
    to be removed, `restored` a backup that was put back. `journal` is the file whose existence
    commits the write, `draft` the same before the commit.
    """

    path: str
    new: str
    view: str
    old: str
    restored: str
    journal: str
    draft: str


def partial(destination: str) -> str:
    """Return the path of the folder in which `destination` is prepared, beside it."""
    folder, name = os.path.split(destination)
    return os.path.join(folder, f".{name}.ckpt-partial")


@contextmanager
def locked(path: str, *, new: bool = False) -> Iterator[Workspace]:
    """Yield the workspace at `path` while it is locked; `new` creates it.

    Raises LockedByOther while another process has it or has just created it, Unwritable if it is
    not a workspace or cannot be locked.
    """
    if new:
        _create(path)
    elif os.path.islink(path) or (
        os.path.isdir(path) and os.listdir(path) and not there(os.path.join(path, _LOCK))
    ):
        raise Unwritable(
            "has the name of a folder that ckpt creates, but was not created by it",
            path=path,
            hint="rename or move it",
        )
    try:
        lock = _lock(path)
    except LockedByOther:
        raise
    except BaseException:
        if new:
            with suppress(WriteFailed):
                remove(path)
        raise
    try:
        yield Workspace(path, *(os.path.join(path, part) for part in _PARTS))
    finally:
        os.close(lock)


def refuse_unfinished(root: str) -> None:
    """Raise LockedByOther during another write to the folder, WriteInterrupted after one."""
    work = os.path.join(root, WORK)
    if there(work):
        with locked(work):
            raise WriteInterrupted("a write to this folder was interrupted", path=root)


def _create(path: str) -> None:
    try:
        os.mkdir(path)
    except FileExistsError:
        raise _busy(path) from None
    except OSError as error:
        raise refused(os.path.dirname(path), error) from None


def _lock(path: str) -> int:
    """Return the locked descriptor of the workspace's lock file.

    The former owner may have removed that file between open and lock: then it is not the file that
    is there now.
    """
    name = os.path.join(path, _LOCK)
    with ExitStack() as stack:
        try:
            lock = os.open(name, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o666)
            stack.callback(os.close, lock)
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            current = os.stat(name, follow_symlinks=False)
        except (BlockingIOError, FileNotFoundError):
            raise _busy(path) from None
        except OSError as error:
            raise refused(name, error) from None
        if not os.path.samestat(current, os.fstat(lock)):
            raise _busy(path)
        stack.pop_all()
    return lock


def _busy(path: str) -> LockedByOther:
    return LockedByOther("another process is writing to this folder", path=os.path.dirname(path))


@contextmanager
def replaced(path: str) -> Iterator[Workspace]:
    """Yield an empty workspace at `path`, without the leftovers of a dead writer.

    It is removed however the block ends.
    """
    with locked(path, new=not there(path)) as space:
        try:
            clear(space)
            make_folder(space.new)
            yield space
        finally:
            # The write is done or has raised its error. Leftovers that cannot be removed change
            # neither; the next writer removes them.
            with uninterrupted(), suppress(WriteFailed):
                discard(space)


def clear(space: Workspace) -> None:
    """Remove everything but the lock; the journal last, because it gives meaning to the rest."""
    with writing(space.path):
        names = set(os.listdir(space.path)) - {_LOCK, os.path.basename(space.journal)}
    for name in sorted(names):
        remove(os.path.join(space.path, name))
    remove(space.journal)


def discard(space: Workspace) -> None:
    """Remove the workspace; its lock file last, which stays locked until it is closed."""
    clear(space)
    remove(space.path)
