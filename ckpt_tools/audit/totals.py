"""What is counted over all rows of an audit: findings by rule, coverage, relations.

A finished run stores these totals, since counting a million rows takes as long as everything else
that a report needs. Those of a selection are counted when they are asked for.
"""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING

from ckpt_tools.audit.selection import among, choose, is_most
from ckpt_tools.audit.summary import Selection

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Sequence

    from ckpt_tools.audit.selection import Chosen


class Counted(StrEnum):
    """What is counted: by two keys, two numbers."""

    FINDINGS = "findings"
    COVERAGE = "coverage"
    RELATIONS = "relations"


type Totals = dict[tuple[str, str], tuple[int, int]]

_QUERIES = {
    Counted.FINDINGS: (
        "SELECT code, severity, count(*), count(DISTINCT checkpoint) FROM findings WHERE {}"
        " GROUP BY code, severity"
    ),
    Counted.COVERAGE: (
        "SELECT question, state, count(*), 0 FROM coverage WHERE {} GROUP BY question, state"
    ),
    Counted.RELATIONS: (
        "SELECT kind, '', count(*), sum(bytes) FROM relations WHERE {} GROUP BY kind"
    ),
}
_CHECKPOINT = {Counted.RELATIONS: "of"}
"""The column with the number of the checkpoint, where it is not `checkpoint`."""


def totals(chosen: Chosen, what: Counted, own: str = "1", values: Sequence[object] = ()) -> Totals:
    """Return the totals of the chosen checkpoints: of all that did not vanish, as stored.

    `own` is a condition on the rows that are counted, with its `values`.
    """
    if chosen.selection == Selection():
        stored = chosen.connection.execute(
            "SELECT one, two, number, amount FROM totals WHERE what = ? AND run ="
            " (SELECT max(id) FROM runs)",
            [what],
        )
        found = {(one, two): (number, amount) for one, two, number, amount in stored}
        if found:
            return found
    return _count(chosen, what, own, values)


def store(connection: sqlite3.Connection, run: int) -> None:
    """Store the totals of all that did not vanish as those of a run. Call it in a transaction."""
    chosen = choose(connection, Selection())
    connection.execute("DELETE FROM totals")
    for what in Counted:
        connection.executemany(
            "INSERT INTO totals VALUES (?, ?, ?, ?, ?, ?)",
            [(run, what, *key, *numbers) for key, numbers in _count(chosen, what).items()],
        )


def _count(chosen: Chosen, what: Counted, own: str = "1", values: Sequence[object] = ()) -> Totals:
    """Count the rows of the chosen checkpoints.

    Of most checkpoints it is the total of all less that of the others: all are counted from one
    index, read from its start to its end, in a third of the time that looking up each takes.
    """
    column = _CHECKPOINT.get(what, "checkpoint")

    def counted(condition: str, more: Sequence[object]) -> Totals:
        query = _QUERIES[what].format(f"{own} AND {condition}")
        rows = chosen.connection.execute(query, [*values, *more])
        return {(one, two): (number, amount or 0) for one, two, number, amount in rows}

    if not is_most(chosen):
        return counted(*among(chosen, column))
    found = counted("1", [])
    if chosen.number < chosen.known:
        others = f"{column} IN (SELECT id FROM checkpoints WHERE NOT ({chosen.where}))"
        for key, (number, amount) in counted(others, chosen.values).items():
            found[key] = (found[key][0] - number, found[key][1] - amount)
    return {key: numbers for key, numbers in found.items() if numbers[0]}
