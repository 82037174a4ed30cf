"""Undoing a change in place: its backup is put back, by the journal of such changes."""

from __future__ import annotations

import errno
import os
import shutil
import stat
from typing import NamedTuple

from ckpt_tools import shell
from ckpt_tools.checkpoint.folders import candidates
from ckpt_tools.edit import backup, journal
from ckpt_tools.edit.workspace import Workspace, refuse_unfinished
from ckpt_tools.errors import EditRefused
from ckpt_tools.storage.durable import (
    ensure_space,
    make_folder,
    new_file,
    refused,
    sync_folder,
    sync_tree,
    there,
    writing,
)
from ckpt_tools.storage.files import path_not_found


class Restored(NamedTuple):
    """What was undone: the folder, the backup, and the paths put back and removed again."""

    path: str
    backup: str
    put_back: tuple[str, ...]
    removed: tuple[str, ...]


def latest(where: str) -> tuple[str, int] | None:
    """Return the folder that `where` names and the number of its latest backup, None if none."""
    for root in _roots(where):
        numbers = backup.numbers(os.path.realpath(root))
        if numbers:
            return root, numbers[-1]
    return None


def restore(where: str, number: int | None = None) -> Restored:
    """Undo the change in place whose backup has `number`, by default the last one.

    Its replaced and removed files come back, those that it added go, all others stay. Raises
    EditRefused if there is no such backup or a file that would be lost has changed since,
    LockedByOther, WriteInterrupted, PathNotFound or another WriteFailed; nothing has changed then,
    except that `recover` completes what WriteInterrupted calls committed.
    """
    if not there(where):
        raise path_not_found(where)
    shown, chosen = _chosen(where, number)
    root = os.path.realpath(shown)
    refuse_unfinished(root)
    folder = backup.path_of(root, chosen)
    record = backup.read(folder)
    kept = backup.beside(shown, os.path.basename(folder))
    added = tuple(sorted(record.written.keys() - set(record.kept)))
    journal.check_inside(root, (*record.kept, *added))
    journal.check_inside(folder, record.kept)
    entry = journal.Journal(
        record.kept, added, None, (os.path.basename(folder), backup.digest(folder))
    )

    def stage(space: Workspace) -> None:
        _refuse_later(where, root, chosen, record)
        _refuse_losses(root, folder, record)
        _stage(space, folder, record)

    journal.carry_out(shown, entry, stage)
    return Restored(shown, kept, record.kept, added)


def _roots(where: str) -> tuple[str, ...]:
    """Return the folders whose backups `where` may mean, best first."""
    if os.path.isdir(where):
        return tuple(candidates(where.rstrip("/") or "/"))
    return (os.path.dirname(where) or ".",)


def _chosen(where: str, number: int | None) -> tuple[str, int]:
    """Return the folder and the number of the backup that is meant."""
    found = latest(where)
    if found is None:
        raise EditRefused(
            "has no backup of a change in place",
            path=where,
            hint="only changes with --in-place and without --no-backup can be undone; a backup"
            " folder without .ckpt-backup.json must be copied back by hand",
        )
    root, last = found
    numbers = backup.numbers(os.path.realpath(root))
    if number is not None and number not in numbers:
        raise EditRefused(
            f"has no backup {number}",
            path=where,
            hint=f"choose {' or '.join(map(str, numbers))} with --backup",
        )
    return root, last if number is None else number


def _refuse_later(where: str, root: str, number: int, record: backup.Record) -> None:
    """Refuse to undo a change whose files a later one changed again."""
    for later in reversed([found for found in backup.numbers(root) if found > number]):
        both = sorted(record.paths & backup.read(backup.path_of(root, later)).paths)
        if both:
            raise EditRefused(
                f"a later change, of backup {later}, concerns the same file",
                path=os.path.join(root, both[0]),
                hint=f"undo that one first: ckpt restore {shell.quote(where)} --backup {later}",
            )


def _refuse_losses(root: str, folder: str, record: backup.Record) -> None:
    """Refuse if the backup is not complete, or a file would be lost that the change did not write.

    A file is the one that was written if it has its size and time.
    """
    for path in record.kept:
        if not there(os.path.join(folder, path)):
            raise EditRefused(
                "is missing from the backup, which cannot be put back as a whole",
                path=os.path.join(folder, path),
                hint="copy back the files that you need",
            )
    for path in sorted(record.paths):
        file = os.path.join(root, path)
        if there(file) and backup.identity(file) != record.written.get(path):
            raise EditRefused(
                "was changed or put there after the change that would be undone, and would be lost",
                path=file,
                hint="move it elsewhere and try again",
            )


def _stage(space: Workspace, folder: str, record: backup.Record) -> None:
    """Give the files of the backup a second name in the workspace, or copy them there."""
    make_folder(space.new)
    for path in record.kept:
        make_folder(os.path.dirname(os.path.join(space.new, path)))
        _place(os.path.join(folder, path), os.path.join(space.new, path))
    sync_tree(space.new)
    sync_folder(os.path.dirname(space.path))


def _place(old: str, new: str) -> None:
    with writing(old):
        status = os.lstat(old)
    if not stat.S_ISDIR(status.st_mode):
        _link(old, new, status)
        return
    make_folder(new)
    with writing(old):
        names = sorted(os.listdir(old))
    for name in names:
        _place(os.path.join(old, name), os.path.join(new, name))
    with writing(new):
        os.chmod(new, stat.S_IMODE(status.st_mode))


def _link(old: str, new: str, status: os.stat_result) -> None:
    try:
        os.link(old, new, follow_symlinks=False)
    except OSError as error:
        # Without hard links there is a copy; but from another disk the backup could not be taken.
        if error.errno == errno.EXDEV:
            raise refused(old, error) from None
        if stat.S_ISLNK(status.st_mode):
            with writing(new):
                os.symlink(os.readlink(old), new)
            return
        _copy(old, new, status)


def _copy(old: str, new: str, status: os.stat_result) -> None:
    ensure_space(os.path.dirname(new), (status.st_size,))
    with new_file(new, status) as descriptor, writing(new), open(old, "rb") as source:
        with open(descriptor, "wb", closefd=False) as target:
            shutil.copyfileobj(source, target)
        os.utime(descriptor, ns=(status.st_atime_ns, status.st_mtime_ns))
