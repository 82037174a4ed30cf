"""The hidden folder in which a write is prepared.

One writer at a time, and what a dead writer left is recognised by its lock, which died with it.
"""

from __future__ import annotations

import fcntl
import os
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, NamedTuple

from ckpt_tools.errors import LockedByOther, Unwritable, WriteFailed
from ckpt_tools.storage.durable import make_folder, refused, remove, there, uninterrupted, writing

if TYPE_CHECKING:
    from collections.abc import Iterator

_LOCK = "lock"


class Workspace(NamedTuple):
    """A folder of this process alone while `lock`, a descriptor, is open.

    Finished files are prepared in `new`.
    """

    path: str
    lock: int

    @property
    def new(self) -> str:
        """The folder of files that are about to be published."""
        return os.path.join(self.path, "new")

    @property
    def view(self) -> str:
        """The folder in which the result of a write in place is looked at before it is one."""
        return os.path.join(self.path, "view")

    @property
    def old(self) -> str:
        """The folder of files that are about to be dropped."""
        return os.path.join(self.path, "old")

    @property
    def journal(self) -> str:
        """The file whose being there decides that the write takes place."""
        return os.path.join(self.path, "journal.json")

    @property
    def draft(self) -> str:
        """The journal before it counts."""
        return os.path.join(self.path, "journal.draft")


def partial(destination: str) -> str:
    """Return the path of the folder in which `destination` is prepared, beside it."""
    folder, name = os.path.split(destination)
    return os.path.join(folder, f".{name}.ckpt-partial")


@contextmanager
def seized(path: str, *, new: bool = False) -> Iterator[Workspace]:
    """Yield the workspace at `path` while it is locked; `new` makes it.

    Raises LockedByOther while another process holds it or was as quick to make it, Unwritable where
    it is not what ckpt makes or cannot be locked.
    """
    if new:
        _make(path)
    elif os.path.islink(path) or (
        os.path.isdir(path) and os.listdir(path) and not there(os.path.join(path, _LOCK))
    ):
        raise Unwritable(
            "has the name of a folder that ckpt makes, and is something else",
            path=path,
            hint="move it away",
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
        yield Workspace(path, lock)
    finally:
        os.close(lock)


def _make(path: str) -> None:
    try:
        os.mkdir(path)
    except FileExistsError:
        raise _busy(path) from None
    except OSError as error:
        raise refused(os.path.dirname(path), error) from None


def _lock(path: str) -> int:
    name = os.path.join(path, _LOCK)
    try:
        lock = os.open(name, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o666)
    except FileNotFoundError:
        raise _busy(path) from None
    except OSError as error:
        raise refused(name, error) from None
    try:
        _hold(lock, name, path)
    except BaseException:
        os.close(lock)
        raise
    return lock


def _hold(lock: int, name: str, path: str) -> None:
    """Lock, and make sure that what is locked still lies where it was opened.

    The one who held it before may have removed it.
    """
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        there = os.stat(name, follow_symlinks=False)
    except (BlockingIOError, FileNotFoundError):
        raise _busy(path) from None
    except OSError as error:
        raise refused(name, error) from None
    if not os.path.samestat(there, os.fstat(lock)):
        raise _busy(path)


def _busy(path: str) -> LockedByOther:
    return LockedByOther("another process is writing here", path=os.path.dirname(path))


@contextmanager
def replaced(path: str) -> Iterator[Workspace]:
    """Yield an empty workspace at `path`, what a dead writer left there removed.

    Remove it however the block ends.
    """
    with seized(path, new=not there(path)) as space:
        try:
            clear(space)
            make_folder(space.new)
            yield space
        finally:
            # Either the write is done or its error is being told; leftovers that cannot be removed
            # change neither, and the next writer removes them.
            with uninterrupted(), suppress(WriteFailed):
                discard(space)


def clear(space: Workspace) -> None:
    """Remove everything but the lock.

    The journal last, because it alone tells what the rest means.
    """
    with writing(space.path):
        names = set(os.listdir(space.path)) - {_LOCK, os.path.basename(space.journal)}
    for name in sorted(names):
        remove(os.path.join(space.path, name))
    remove(space.journal)


def discard(space: Workspace) -> None:
    """Remove the workspace; the lock last, which stays held until the process lets go of it."""
    clear(space)
    remove(space.path)
