"""The journal of a write in place: once it is there the write takes place, step by step.

However often that is interrupted it can be taken up again.
"""

from __future__ import annotations

import json
import os
import stat
from contextlib import suppress
from typing import TYPE_CHECKING, NamedTuple

from ckpt_tools.checkpoint.locate import WORK, candidates
from ckpt_tools.edit.workspace import Workspace, discard, partial, seized
from ckpt_tools.errors import CkptError, PathEscapes, WriteInterrupted
from ckpt_tools.storage.durable import (
    make_folder,
    remove,
    rename,
    sync_folder,
    sync_tree,
    there,
    write_file,
    writing,
)
from ckpt_tools.storage.files import path_not_found, read_whole
from ckpt_tools.storage.paths import leaves_folder

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from ckpt_tools.edit.workspace import Workspace

VERSION = 1
_LIMIT = 64 << 20


class Journal(NamedTuple):
    """What a write in place does.

    Paths that are put in place from the workspace, paths that go, and the folder beside the root
    (its name) that keeps them.

    Nothing is kept where `backup` is None.
    """

    replace: tuple[str, ...]
    remove: tuple[str, ...]
    backup: str | None


def commit(space: Workspace, journal: Journal) -> None:
    """Make the journal count: from here on the write takes place, whatever happens.

    Before, the folder in which old files are kept is made.
    """
    root = os.path.dirname(space.path)
    document = {"version": VERSION, **journal._asdict()}
    write_file(space.draft, json.dumps(document, indent=1).encode() + b"\n")
    if journal.backup is not None:
        kept = os.path.join(os.path.dirname(root), journal.backup)
        # Made here and moved there: where that cannot be done, on two disks for example, old files
        # could not be moved there either.
        make_folder(space.old)
        rename(space.old, kept)
        sync_folder(os.path.dirname(root))
    sync_folder(space.path)
    rename(space.draft, space.journal)
    sync_folder(space.path)


def undo(space: Workspace) -> None:
    """Remove a workspace whose journal does not count, and the empty folder that was made for old files."""
    root = os.path.dirname(space.path)
    with suppress(CkptError, OSError):
        draft = read(space.draft)
        if draft.backup is not None:
            os.rmdir(os.path.join(os.path.dirname(root), draft.backup))
    discard(space)


def roll_forward(space: Workspace, journal: Journal) -> None:
    """Do what the journal says and has not been done yet, then remove the workspace.

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
    discard(space)
    sync_folder(root)


def read(path: str) -> Journal:
    """Return the journal at `path`.

    Raises WriteInterrupted for one that is damaged: it is written so that no crash can damage it.
    """
    data = read_whole(path, _LIMIT)
    try:
        document = json.loads(data)
        journal = Journal(tuple(document["replace"]), tuple(document["remove"]), document["backup"])
        sound = (
            document["version"] == VERSION
            and all(_stays(path) for path in (*journal.replace, *journal.remove))
            and _is_name(journal.backup)
        )
    except (ValueError, TypeError, KeyError, RecursionError):
        sound = False
    if not sound:
        raise WriteInterrupted(
            "is not a journal that ckpt wrote",
            path=path,
            hint="look at the folder, put right what is wrong, and remove .ckpt-work",
        )
    return journal


def check_inside(root: str, paths: Iterable[str]) -> None:
    """Refuse paths that lead out of `root` through a linked folder, and a `root` that is itself a link."""
    top = os.path.join(os.path.realpath(os.path.dirname(root)), os.path.basename(root), "")
    for folder in {os.path.dirname(path) for path in paths}:
        real = os.path.join(os.path.realpath(os.path.join(root, folder)), "")
        if not real.startswith(top):
            raise PathEscapes(
                f"leads out of the folder or to another disk, to {real.rstrip('/')}",
                path=os.path.join(root, folder),
                hint="write to a new folder with --output",
            )


def _stays(path: object) -> bool:
    return isinstance(path, str) and path != "" and not leaves_folder(path)


def _is_name(name: object) -> bool:
    return name is None or (
        isinstance(name, str)
        and name not in {"", ".", ".."}
        and "/" not in name
        and "\0" not in name
    )


def _keep(old: str, kept: str) -> None:
    """Make sure that what is at `old` has a name among the files that are kept.

    A link is kept as a link.
    """
    if there(kept) or not there(old):
        return
    make_folder(os.path.dirname(kept))
    if stat.S_ISDIR(os.lstat(old).st_mode):
        rename(old, kept)
        return
    try:
        os.link(old, kept, follow_symlinks=False)
    except OSError:
        # A file system without hard links, or a file of another user: for a moment there is nothing
        # at the old place, but the journal says what comes.
        rename(old, kept)


def _put(new: str, path: str, kept: str) -> None:
    """Put the new file in place; where there is none, take the old one away."""
    if there(new):
        make_folder(os.path.dirname(path))
        rename(new, path)
    elif there(path) and there(kept) and os.path.samestat(os.lstat(path), os.lstat(kept)):
        remove(path)


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
    """Return what became of an interrupted write to `where`.

    "finished", "undone", or "nothing" where none was interrupted.

    Raises LockedByOther for one that is still going on, WriteInterrupted for a damaged journal,
    PathNotFound, and what the machine refuses. Can be interrupted and called again itself.
    """
    place = where.rstrip("/") or "/"
    beside = partial(os.path.realpath(place))
    work = next((path for path in _works(place) if there(path)), None)
    if work is None and not there(place) and not there(beside):
        raise path_not_found(where)
    outcomes = []
    if work is not None:
        with seized(work) as space:
            outcomes.append(_in_place(space))
    if there(beside):
        with seized(beside) as space:
            outcomes.append(_beside(space, os.path.realpath(place)))
    return next((outcome for outcome in outcomes if outcome != "nothing"), "nothing")


def _works(where: str) -> Iterator[str]:
    """Yield the paths at which the workspace of a write in place can lie."""
    if os.path.isdir(where):
        for folder in candidates(where):
            yield os.path.join(os.path.realpath(folder), WORK)
    else:
        yield os.path.join(os.path.realpath(os.path.dirname(where)), WORK)


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
