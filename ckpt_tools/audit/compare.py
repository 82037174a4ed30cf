"""Two audits compared: checkpoints that came, went and changed, findings, and what is said of them.

Checkpoints are the same if their locations are.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, NamedTuple

from ckpt_tools.audit.summary import Found, Judged, judged

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterator


class Seen(NamedTuple):
    """A checkpoint, and what the audit that has it says of it."""

    location: str
    judged: Judged


class Rejudged(NamedTuple):
    """A checkpoint of which the two audits do not say the same."""

    location: str
    before: Judged
    after: Judged


class AuditComparison(NamedTuple):
    """How the audit `new` differs from the audit `old`.

    `added` are the checkpoints that only `new` has, `gone` those that it does not have or that
    vanished. Of those in both (`common`), the files of `changed` are others than they were,
    `came` and `went` are findings, and `rejudged` have another worst finding.
    """

    old: str
    new: str
    common: int
    added: tuple[Seen, ...]
    gone: tuple[Seen, ...]
    changed: tuple[str, ...]
    rejudged: tuple[Rejudged, ...]
    came: tuple[Found, ...]
    went: tuple[Found, ...]

    @property
    def same(self) -> bool:
        """Whether nothing differs."""
        return not any(self[3:])


class _Entry(NamedTuple):
    """A checkpoint as both audits have it; `judged_by` is all that its findings depend on."""

    number: int
    location: str
    word: Judged
    identity: bytes
    judged_by: tuple[object, ...]


def compare(
    old: sqlite3.Connection, new: sqlite3.Connection, names: tuple[str, str]
) -> AuditComparison:
    """Return how two audits, opened from the files `names`, differ."""
    added, gone, changed = list[Seen](), list[Seen](), list[str]()
    rejudged, came, went = list[Rejudged](), list[Found](), list[Found]()
    common = 0
    for before, after in _pairs(_entries(old), _entries(new)):
        if before is None and after is not None:
            added.append(Seen(after.location, after.word))
        elif before is not None and after is None:
            gone.append(Seen(before.location, before.word))
        elif before is not None and after is not None:
            common += 1
            if before.identity != after.identity:
                changed.append(after.location)
            if before.word is not after.word:
                rejudged.append(Rejudged(after.location, before.word, after.word))
            if before.judged_by != after.judged_by:
                found = (_findings(old, before), _findings(new, after))
                came += (found[1] - found[0]).elements()
                went += (found[0] - found[1]).elements()
    return AuditComparison(
        *names,
        common,
        tuple(added),
        tuple(gone),
        tuple(changed),
        tuple(rejudged),
        tuple(came),
        tuple(went),
    )


def _entries(connection: sqlite3.Connection) -> Iterator[_Entry]:
    """Yield the checkpoints of an audit by location, without those that vanished."""
    rows = connection.execute(
        "SELECT id, location, identity, status, errors, warnings, notes, rules, with_values"
        " FROM checkpoints WHERE status <> 'vanished' ORDER BY location"
    )
    for number, location, identity, *rest in rows:
        yield _Entry(number, location, judged(*rest[:4]), identity, (identity, *rest))


def _pairs(
    old: Iterator[_Entry], new: Iterator[_Entry]
) -> Iterator[tuple[_Entry | None, _Entry | None]]:
    """Yield what two sorted lists have at the same location, None where one lacks it."""
    before, after = next(old, None), next(new, None)
    while before or after:
        if after is None or (before is not None and before.location < after.location):
            yield before, None
            before = next(old, None)
        elif before is None or after.location < before.location:
            yield None, after
            after = next(new, None)
        else:
            yield before, after
            before, after = next(old, None), next(new, None)


def _findings(connection: sqlite3.Connection, entry: _Entry) -> Counter[Found]:
    """Return the findings of a checkpoint, each with its number."""
    rows = connection.execute(
        "SELECT code, severity, path, subject, what, next FROM findings WHERE checkpoint = ?"
        " ORDER BY id",
        [entry.number],
    )
    return Counter(Found(entry.location, *row) for row in rows)
