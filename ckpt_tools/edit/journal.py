"""The journal of a write in place, and recovery.

The protocol:

1. All new files are written to the workspace (`.ckpt-work/new`), verified and flushed to disk.
2. `commit`: the journal is written as a draft and flushed; renaming it is the commit. Before, the
   backup folder is created, with nothing but its record.
3. `roll_forward`: each old file gets a second name in the backup folder, then each new file is
   renamed over it, then removed files are unlinked, then the workspace is removed. A backup that
   is restored is moved into the workspace before.

A crash before the rename of 2 is rolled back (`undo`): nothing has changed. A crash after it is
completed (`recover`): every step of 3 is skipped where it has been done, so it can be interrupted
and repeated any number of times.
"""

from __future__ import annotations

import json
import os
import stat
from contextlib import suppress
from typing import TYPE_CHECKING, NamedTuple

from ckpt_tools import shell
from ckpt_tools.checkpoint.documents import WORK
from ckpt_tools.checkpoint.folders import candidates
from ckpt_tools.edit import backup
from ckpt_tools.edit.workspace import Workspace, discard, locked, partial
from ckpt_tools.errors import CkptError, PathEscapes, WriteFailed, WriteInterrupted
from ckpt_tools.storage.durable import (
    make_folder,
    remove,
    rename,
    sync_folder,
    sync_tree,
    there,
    uninterrupted,
    write_file,
    writing,
)
from ckpt_tools.storage.files import path_not_found, read_whole
from ckpt_tools.storage.paths import leaves_folder

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

VERSION = 1
_LIMIT = 64 << 20


class Journal(NamedTuple):
    """The changes of a write in place.

    Paths to replace with files of the workspace, paths to remove, the name of the backup folder
    beside the root, None for no backup, and the name and digest of the backup that is restored.
    """

    replace: tuple[str, ...]
    remove: tuple[str, ...]
    backup: str | None
    restored: tuple[str, str] | None = None


def carry_out(root: str, journal: Journal, stage: Callable[[Workspace], None]) -> None:
    """Change the folder `root`: `stage` writes the new files to the workspace, the rest follows.

    A failure before the commit is rolled back; after it, `recover` completes the change.
    """
    with locked(os.path.join(os.path.realpath(root), WORK), new=True) as space:
        try:
            stage(space)
        except BaseException:
            with uninterrupted(), suppress(WriteFailed):
                undo(space)
            raise
        with uninterrupted():
            _commit_and_finish(root, space, journal)


def _commit_and_finish(root: str, space: Workspace, journal: Journal) -> None:
    committed = False
    try:
        commit(space, journal)
        committed = True
        roll_forward(space, journal)
    except BaseException as error:
        if not committed and not there(space.journal):
            with suppress(WriteFailed):
                undo(space)
            raise
        if not isinstance(error, CkptError):
            raise
        raise WriteInterrupted(
            f"the change is committed but could not be completed: {error.path}: {error.what}",
            path=root,
            hint=f"correct that, then run: ckpt recover {shell.quote(root)}",
        ) from None


def commit(space: Workspace, journal: Journal) -> None:
    """Commit: from here on the write will be completed.

    Before, the backup folder is created.
    """
    root = os.path.dirname(space.path)
    document = {"version": VERSION, **journal._asdict()}
    if journal.restored is None:
        del document["restored"]
    write_file(space.draft, json.dumps(document, indent=1).encode() + b"\n")
    if journal.backup is not None:
        kept = os.path.join(os.path.dirname(root), journal.backup)
        # Created here and moved there: if that fails, on two disks for example, old files could
        # not be moved there either.
        make_folder(space.old)
        record = backup.encoded(root, space.new, journal.replace, journal.remove)
        write_file(os.path.join(space.old, backup.RECORD), record)
        sync_folder(space.old)
        rename(space.old, kept)
        sync_folder(os.path.dirname(root))
    sync_folder(space.path)
    rename(space.draft, space.journal)
    sync_folder(space.path)


def undo(space: Workspace) -> None:
    """Remove a workspace that was not committed, and its backup folder without a file."""
    root = os.path.dirname(space.path)
    with suppress(CkptError, OSError):
        draft = read(space.draft)
        if draft.backup is not None:
            kept = os.path.join(os.path.dirname(root), draft.backup)
            if set(os.listdir(kept)) <= {backup.RECORD}:
                remove(kept)
    discard(space)


def roll_forward(space: Workspace, journal: Journal) -> None:
    """Do the rest of the changes in the journal, then remove the workspace.

    Raises WriteFailed or PathEscapes; it can be called again.
    """
    root = os.path.dirname(space.path)
    kept = (
        space.old if journal.backup is None else os.path.join(os.path.dirname(root), journal.backup)
    )
    going = (
        tuple(path for path in journal.replace if there(os.path.join(space.new, path)))
        + journal.remove
    )
    with writing(root):
        for folder in (root, space.new, kept):
            check_inside(folder, going)
        make_folder(kept)
        for path in going:
            _keep(os.path.join(root, path), os.path.join(kept, path))
        sync_tree(kept)
        sync_folder(os.path.dirname(kept))
        for path in going:
            _put(os.path.join(space.new, path), os.path.join(root, path), os.path.join(kept, path))
        for folder in _folders(root, going):
            sync_folder(folder)
        if journal.restored is not None:
            _take_away(os.path.join(os.path.dirname(root), journal.restored[0]), journal, space)
    discard(space)
    sync_folder(root)


def read(path: str) -> Journal:
    """Read the journal at `path`.

    Raises WriteInterrupted for a damaged one; no crash can damage it.
    """
    data = read_whole(path, _LIMIT)
    try:
        document = json.loads(data)
        journal = Journal(
            tuple(document["replace"]),
            tuple(document["remove"]),
            document["backup"],
            tuple(document["restored"]) if "restored" in document else None,
        )
        sound = (
            document["version"] == VERSION
            and all(_is_inside(path) for path in (*journal.replace, *journal.remove))
            and _is_name(journal.backup)
            and (journal.restored is None or all(map(_is_name, journal.restored)))
        )
    except (ValueError, TypeError, KeyError, RecursionError):
        sound = False
    if not sound:
        raise WriteInterrupted(
            "not a valid journal of ckpt",
            path=path,
            hint="check the files of the folder, then remove its subfolder .ckpt-work",
        )
    return journal


def check_inside(root: str, paths: Iterable[str]) -> None:
    """Refuse paths that lead out of `root` through a linked folder, and a linked `root`."""
    top = os.path.join(os.path.realpath(os.path.dirname(root)), os.path.basename(root), "")
    for folder in {os.path.dirname(path) for path in paths}:
        real = os.path.join(os.path.realpath(os.path.join(root, folder)), "")
        if not real.startswith(top):
            raise PathEscapes(
                f"leads out of the folder or to another disk, to {real.rstrip('/')}",
                path=os.path.join(root, folder),
                hint="write to a new folder with --output",
            )


def _is_inside(path: object) -> bool:
    return isinstance(path, str) and path != "" and not leaves_folder(path)


def _is_name(name: object) -> bool:
    return name is None or (_is_inside(name) and name != "." and "/" not in str(name))


def _keep(old: str, kept: str) -> None:
    """Give the file at `old` a name in the backup folder; a link is kept as a link."""
    if there(kept) or not there(old):
        return
    make_folder(os.path.dirname(kept))
    if stat.S_ISDIR(os.lstat(old).st_mode):
        rename(old, kept)
        return
    try:
        os.link(old, kept, follow_symlinks=False)
    except OSError:
        # A file system without hard links, or a file of another user: for a moment no file has the
        # old name, but the journal is committed.
        rename(old, kept)


def _put(new: str, path: str, kept: str) -> None:
    """Move the new file into place; without one, remove the old file."""
    if there(new):
        make_folder(os.path.dirname(path))
        rename(new, path)
    elif there(path) and there(kept) and os.path.samestat(os.lstat(path), os.lstat(kept)):
        remove(path)


def _take_away(kept: str, journal: Journal, space: Workspace) -> None:
    """Move a restored backup into the workspace, with which it is removed.

    Another folder of its name, where the checkpoint was moved meanwhile, stays.
    """
    if journal.restored is not None and backup.digest(kept) == journal.restored[1]:
        rename(kept, space.restored)
        sync_folder(space.path)
        sync_folder(os.path.dirname(kept))


def _folders(root: str, paths: Iterable[str]) -> tuple[str, ...]:
    """Return the folders in `root` whose names may have changed, the lowest first."""
    found = {root}
    for path in paths:
        folder = os.path.dirname(path)
        while folder:
            found.add(os.path.join(root, folder))
            folder = os.path.dirname(folder)
    return tuple(folder for folder in sorted(found, reverse=True) if there(folder))


def recover(where: str) -> str:
    """Complete or roll back an interrupted write to `where`.

    Return "finished", "undone", or "nothing" if none was interrupted.

    Raises LockedByOther during a write, WriteInterrupted for a damaged journal, PathNotFound, and
    errors of reading and writing. Can be interrupted and called again.
    """
    path = where.rstrip("/") or "/"
    beside = partial(os.path.realpath(path))
    work = next((work for work in _workspaces(path) if there(work)), None)
    if work is None and not there(path) and not there(beside):
        raise path_not_found(where)
    outcome = "nothing"
    if work is not None:
        with locked(work) as space:
            outcome = _in_place(space)
    if there(beside):
        with locked(beside) as space:
            discarded = _beside(space, os.path.realpath(path))
        outcome = discarded if outcome == "nothing" else outcome
    return outcome


def _workspaces(where: str) -> Iterator[str]:
    """Yield the possible paths of the workspace of a write in place."""
    for folder in candidates(where) if os.path.isdir(where) else (os.path.dirname(where),):
        yield os.path.join(os.path.realpath(folder), WORK)


def _in_place(space: Workspace) -> str:
    if there(space.journal):
        roll_forward(space, read(space.journal))
        return "finished"
    begun = len(os.listdir(space.path)) > 1
    undo(space)
    return "undone" if begun else "nothing"


def _beside(space: Workspace, destination: str) -> str:
    done = os.path.isfile(destination) or (
        os.path.isdir(destination) and len(os.listdir(destination)) > 0
    )
    discard(space)
    return "finished" if done else "undone"
