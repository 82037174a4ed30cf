"""The verbs that read: show, diff, read."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ckpt_tools.compare.checkpoints import ALL_ASPECTS, addresses, compare
from ckpt_tools.compare.selection import Selection
from ckpt_tools.errors import UnknownSelection
from ckpt_tools.families.stories import shared_family, tell, watched_lines
from ckpt_tools.families.summary import summarise
from ckpt_tools.records.diff import Aspect
from ckpt_tools.records.story import Comparison
from ckpt_tools.store.place import pinned, spent
from ckpt_tools.store.reader import read

if TYPE_CHECKING:
    from collections.abc import Collection

    from ckpt_tools.records.summary import Summary

__all__ = ["diff", "read", "show"]


@pinned()
def show(where: str, *, lenient: bool = False) -> Summary:
    """Return what the checkpoint at `where` is. Reads headers and configs only. Raises a CkptError that names the file."""
    return summarise(read(where, lenient=lenient))._replace(transferred=spent())


@pinned()
def diff(  # noqa: PLR0913 - options by keyword
    a: str,
    b: str,
    *,
    aspects: Collection[Aspect] = ALL_ASPECTS,
    select: tuple[str, ...] = (),
    ignore: tuple[str, ...] = (),
    lenient: bool = False,
) -> Comparison:
    """Return what differs between the checkpoints at `a` and `b`, and what that amounts to. Reads headers and configs only.

    `select` and `ignore` are globs over dotted addresses (see `compare.selection`). Raises a CkptError that names the file, or UnknownSelection.
    """
    left, right = read(a, lenient=lenient), read(b, lenient=lenient)
    selection = Selection(select, ignore)
    found = compare(left, right, aspects=aspects, selection=selection, neutral=shared_family(left, right).neutral)
    if select and not any(address in selection for side in (left, right) for address in addresses(side)):
        msg = f"--select {' '.join(select)} names nothing in either"
        raise UnknownSelection(msg, hint="`ckpt show --tree` prints the names; * stands for one segment, ** for several")
    return Comparison(
        diff=found,
        a=summarise(left),
        b=summarise(right),
        watched=watched_lines(left, right),
        stories=tell(found),
        aspects=tuple(aspect for aspect in Aspect if aspect in aspects),
        select=select,
        ignore=ignore,
        transferred=spent(),
    )
