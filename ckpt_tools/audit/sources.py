"""Turns what was named (WHERE) into candidates: what may be a checkpoint, and its files.

Nothing is opened: names, sizes and times only.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ckpt_tools.audit.discover import below

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from ckpt_tools.audit.model import Candidate


def nothing_known(location: str, revision: str) -> bool:  # noqa: ARG001 - the signature of `known`
    """Whether the audit has this location at this revision: never."""
    return False


def ignore_notice(_: str) -> None:
    """Do nothing with a sentence for the user."""


def candidates(
    wheres: Iterable[str],
    *,
    known: Callable[[str, str], bool] = nothing_known,
    only: Iterable[str] = (),
    notify: Callable[[str], None] = ignore_notice,
) -> Iterator[Candidate]:
    """Yield what may be a checkpoint at or below each of `wheres`, lazily, each location once.

    `known(location, revision)` says that the audit has that location at that revision: such a
    candidate is yielded without files, and its repository is not listed. `only` are globs of
    locations, empty for all. `notify` gets sentences for the user, such as the number of requests
    that a source on the Hub needs, before the first of them.

    What cannot be listed is a Candidate with `trouble`: what the audit has at or below its location
    is kept as it is, and not marked as vanished. A WHERE that does not exist is one with trouble.
    """
    del known, notify  # the local file system needs neither
    for where in wheres:
        yield from below(where, tuple(only))
