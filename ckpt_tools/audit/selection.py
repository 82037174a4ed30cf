"""What a selection of checkpoints is in one audit: conditions of queries, with bound values."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from ckpt_tools.audit.model import Status
from ckpt_tools.errors import UnknownSelection

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Sequence

    from ckpt_tools.audit.summary import Selection

type Sql = tuple[str, list[object]]
"""A condition, and what its question marks stand for."""

COUNTED = {"error": "errors", "warning": "warnings", "note": "notes"}
"""Severities, the worst first, and the columns that count their findings."""


class Chosen(NamedTuple):
    """What a selection is in one audit: a condition on `checkpoints`, and how many it holds of."""

    connection: sqlite3.Connection
    selection: Selection
    where: str
    values: list[object]
    number: int
    known: int

    def rows(self, columns: str, rest: str = "", *values: object) -> sqlite3.Cursor:
        """Return columns of the chosen checkpoints."""
        query = f"SELECT {columns} FROM checkpoints WHERE {self.where} {rest}"
        return self.connection.execute(query, [*self.values, *values])


def choose(connection: sqlite3.Connection, selection: Selection) -> Chosen:
    """Return what a selection is. Raises UnknownSelection for an unknown status or severity."""
    where, values = _condition(selection)
    counts = connection.execute(f"SELECT count(*), sum({where}) FROM checkpoints", values)
    known, number = counts.fetchone()
    return Chosen(connection, selection, where, values, number or 0, known)


def _condition(selection: Selection) -> Sql:
    """Return the condition on `checkpoints` that a selection is."""
    conditions, values = ["status <> 'vanished'"], list[object]()
    if selection.statuses:
        _refuse_unknown("status", selection.statuses, tuple(Status))
        conditions, values = [_any_of("status", selection.statuses)], list(selection.statuses)
    for column, patterns in (
        ("family", selection.families),
        ("owner", selection.owners),
        ("source", selection.sources),
    ):
        if patterns:
            conditions.append(f"({' OR '.join([f'{column} GLOB ?'] * len(patterns))})")
            values += [pattern.replace("[", "[[]") for pattern in patterns]
    _refuse_unknown("severity", selection.severities, tuple(COUNTED))
    if selection.codes:
        own, more = of_findings(selection)
        conditions.append(f"checkpoints.id IN (SELECT checkpoint FROM findings WHERE {own})")
        values += more
    elif selection.severities:
        conditions.append(f"({' OR '.join(f'{COUNTED[one]} > 0' for one in selection.severities)})")
    return " AND ".join(conditions), values


def of_findings(selection: Selection) -> Sql:
    """Return the condition on `findings` that the codes and severities of a selection are."""
    conditions = [
        _any_of(column, wanted)
        for column, wanted in (("code", selection.codes), ("severity", selection.severities))
        if wanted
    ]
    return " AND ".join(conditions) or "1", [*selection.codes, *selection.severities]


def among(chosen: Chosen, column: str) -> Sql:
    """Return the condition that `column` is one of the chosen checkpoints."""
    if chosen.number == chosen.known:
        return "1", []
    if is_most(chosen):
        return f"+{column} NOT IN (SELECT id FROM checkpoints WHERE NOT ({chosen.where}))", (
            chosen.values
        )
    return f"{column} IN (SELECT id FROM checkpoints WHERE {chosen.where})", chosen.values


def is_most(chosen: Chosen) -> bool:
    """Whether more than half of the checkpoints are chosen."""
    return 2 * chosen.number > chosen.known


def _any_of(column: str, values: Sequence[str]) -> str:
    return f"{column} IN ({', '.join('?' * len(values))})"


def _refuse_unknown(what: str, wanted: Sequence[str], known: Sequence[str]) -> None:
    for one in wanted:
        if one not in known:
            raise UnknownSelection(f"no such {what}: {one}", hint=f"choose from {', '.join(known)}")
