"""Ending a write that was interrupted: finished where its journal counts, undone where it does not."""

# ruff: noqa: PTH120, PTH208 - paths are strings as the user typed them; importing pathlib costs start-up time
from __future__ import annotations

import os
from typing import TYPE_CHECKING

from ckpt_tools.store import journal
from ckpt_tools.store.durable import there
from ckpt_tools.store.files import nothing_at
from ckpt_tools.store.locate import WORK, candidates
from ckpt_tools.store.workspace import discard, partial, seized

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ckpt_tools.store.workspace import Workspace


def recover(where: str) -> str:
    """Return what became of an interrupted write to `where`: "finished", "undone", or "nothing" where none was interrupted.

    Raises Busy for one that is still going on, WriteInterrupted for a damaged journal, NothingThere, and what the machine refuses. Can be interrupted and
    called again itself.
    """
    place = where.rstrip("/") or "/"
    beside = partial(os.path.realpath(place))
    work = next((path for path in _works(place) if there(path)), None)
    if work is None and not there(place) and not there(beside):
        raise nothing_at(where)
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
        journal.roll_forward(space, journal.read(space.journal))
        return "finished"
    begun = len(os.listdir(space.path)) > 1
    journal.undo(space)
    return "undone" if begun else "nothing"


def _beside(space: Workspace, destination: str) -> str:
    done = os.path.isfile(destination) or (os.path.isdir(destination) and len(os.listdir(destination)) > 0)
    discard(space)
    return "finished" if done else "undone"
