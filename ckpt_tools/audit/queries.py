"""Questions to an audit: an overview, tables and findings of the checkpoints that are selected.

Findings are counted by `totals`; single ones are read only where some are asked for.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from ckpt_tools.audit.model import RelationKind
from ckpt_tools.audit.selection import COUNTED, among, of_findings
from ckpt_tools.audit.summary import (
    Answered,
    By,
    Found,
    Group,
    Overview,
    RelationGroup,
    Row,
    RuleGroup,
    Selection,
    Table,
)
from ckpt_tools.audit.totals import Counted, totals
from ckpt_tools.rules.coverage import State

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterator, Sequence

    from ckpt_tools.audit.selection import Chosen
    from ckpt_tools.audit.summary import TableRow

_AGES = (("under a day", 1), ("under a week", 7), ("under a month", 30), ("under a year", 365))
_SIZES = (
    *(("under 1 MB", 1e6), ("1 MB to 10 MB", 1e7), ("10 MB to 100 MB", 1e8)),
    *(("100 MB to 1 GB", 1e9), ("1 GB to 10 GB", 1e10), ("10 GB to 100 GB", 1e11)),
)
_CHECKED = "status = 'checked' AND"
_OVERVIEW = (
    f"sum(status = 'checked'), sum(status = 'failed'), sum({_CHECKED} errors > 0),"
    f" sum({_CHECKED} errors = 0 AND warnings > 0),"
    f" sum({_CHECKED} errors = 0 AND warnings = 0 AND notes > 0),"
    " sum(errors), sum(warnings), sum(notes), sum(with_values), sum(bytes)"
)
_GROUP = (
    f"count(*), sum({_CHECKED} errors > 0), sum({_CHECKED} errors = 0 AND warnings > 0),"
    " sum(status = 'failed'), sum(bytes)"
)
_ROW = (
    "location, status, reason, source, owner, kind, family, errors, warnings, notes, tensors,"
    " parameters, bytes, modified, base_model"
)
_ROW_ORDER = "status = 'failed' DESC, errors DESC, warnings DESC, notes DESC, location"
_LEAST = 3
"""Findings of a code, where some of each are returned."""

_LAST = "ORDER BY id DESC LIMIT 1"


def overview(chosen: Chosen, path: str) -> Overview:
    """Return the overview of the chosen checkpoints of the audit at `path`."""
    runs, tool, started, finished, sources = chosen.connection.execute(
        f"SELECT count(*) OVER (), tool, started, finished, sources FROM runs {_LAST}"
    ).fetchone() or (0, "", "", "", "[]")
    (vanished,) = chosen.connection.execute(
        "SELECT count(*) FROM checkpoints WHERE status = 'vanished'"
    ).fetchone()
    checked, failed, errors, warnings, notes, *sums = (
        number or 0 for number in chosen.rows(_OVERVIEW).fetchone()
    )
    return Overview(
        path,
        tool,
        started,
        finished or "",
        _texts(sources),
        runs,
        chosen.known,
        vanished,
        chosen.number,
        checked,
        failed,
        errors,
        warnings,
        notes,
        (sums[0], sums[1], sums[2]),
        sums[3],
        sums[4],
        *_copies(chosen, sums[4]),
        _coverage(chosen),
    )


def _texts(text: str) -> tuple[str, ...]:
    """Return the texts of a JSON array."""
    value = json.loads(text)
    return tuple(map(str, value)) if isinstance(value, list) else ()


def table(chosen: Chosen, by: By, limit: int = 0) -> Table:
    """Return the first `limit` rows by `by`, all for 0."""
    rows: Sequence[TableRow]
    if by is By.CHECKPOINT:
        return Table(by, tuple(checkpoint_rows(chosen, limit)), chosen.number)
    if by is By.RULE:
        rows = _by_rule(chosen)
    elif by is By.RELATION:
        rows = _by_relation(chosen)
    else:
        rows = _by_group(chosen, by)
    return Table(by, tuple(rows[:limit] if limit else rows), len(rows))


def checkpoint_rows(chosen: Chosen, limit: int = 0) -> Iterator[Row]:
    """Yield the first `limit` checkpoints, all for 0: what failed and what is worst first."""
    codes = chosen.connection.cursor()
    for number, *fields in chosen.rows(
        f"id, {_ROW}", f"ORDER BY {_ROW_ORDER} LIMIT ?", limit or -1
    ):
        found = codes.execute(
            "SELECT DISTINCT code FROM findings WHERE checkpoint = ? ORDER BY code", [number]
        )
        yield Row._make([*fields, tuple(code for (code,) in found)])


def findings(chosen: Chosen, limit: int = 0) -> tuple[tuple[Found, ...], int]:
    """Return the first `limit` findings of the selected codes (all for 0), and how many there are.

    The worst come first.
    """
    groups = _by_rule(chosen)
    found: list[Found] = []
    for group in groups:
        if not limit or len(found) < limit:
            found += _of_group(chosen, group, limit - len(found) if limit else 0)
    return tuple(found), sum(group.findings for group in groups)


def examples(chosen: Chosen, number: int) -> tuple[Found, ...]:
    """Return about `number` findings, some of each code and severity, with the worst first."""
    groups = _by_rule(chosen)
    each = max(_LEAST, number // max(1, len(groups)))
    return tuple(found for group in groups for found in _of_group(chosen, group, each))


def _of_group(chosen: Chosen, group: RuleGroup, limit: int) -> Iterator[Found]:
    """Yield the first `limit` findings of one code and severity, all for 0."""
    rows = chosen.connection.execute(
        "SELECT location, code, severity, path, subject, what, next FROM findings JOIN checkpoints"
        f" ON checkpoints.id = checkpoint WHERE code = ? AND severity = ? AND {chosen.where}"
        " ORDER BY checkpoint, findings.id LIMIT ?",
        [group.code, group.severity, *chosen.values, limit or -1],
    )
    return (Found(*row) for row in rows)


def _copies(chosen: Chosen, nbytes: int) -> tuple[int, int, int]:
    """Return how many are copies, what they take, and what all take: `nbytes` of tensors."""
    found = totals(chosen, Counted.RELATIONS)
    number, copied = found.get((RelationKind.SAME_PAYLOAD, ""), (0, 0))
    query = f"SELECT copied, weights FROM runs {_LAST}"
    finished = chosen.connection.execute(query).fetchone() or (None, None)
    if chosen.selection != Selection() or None in finished:
        return number, copied, nbytes
    return number, *finished


def _coverage(chosen: Chosen) -> tuple[Answered, ...]:
    numbers: dict[str, dict[str, int]] = {}
    for (question, state), (number, _) in totals(chosen, Counted.COVERAGE).items():
        numbers.setdefault(question, {})[state] = number
    return tuple(
        Answered(question, *(states.get(state, 0) for state in State))
        for question, states in sorted(numbers.items())
    )


def _by_rule(chosen: Chosen) -> list[RuleGroup]:
    own, values = of_findings(chosen.selection)
    found = totals(chosen, Counted.FINDINGS, own, values)
    rows = [RuleGroup(*key, *numbers) for key, numbers in found.items()]
    order = {severity: place for place, severity in enumerate(COUNTED)}
    return sorted(
        rows, key=lambda row: (order.get(row.severity, len(order)), -row.checkpoints, row.code)
    )


def _by_relation(chosen: Chosen) -> list[RelationGroup]:
    where, values = among(chosen, "of")
    rows = chosen.connection.execute(
        "SELECT relations.kind, coalesce(location, relations.name), count(*) AS number,"
        " sum(relations.bytes) FROM relations LEFT JOIN checkpoints ON checkpoints.id ="
        f' relations."to" WHERE {where} GROUP BY relations.kind, "to", relations.name'
        " ORDER BY relations.kind, number DESC, 2",
        values,
    )
    return [RelationGroup(*row) for row in rows]


def _by_group(chosen: Chosen, by: By) -> list[Group]:
    name, order = {
        By.FAMILY: ("family", "2 DESC, 1"),
        By.OWNER: ("owner", "2 DESC, 1"),
        By.AGE: (_age(chosen.connection), "max(modified) DESC"),
        By.SIZE: (_cases("bytes", _SIZES, "100 GB and more"), "min(bytes)"),
    }[by]
    rows = chosen.rows(f"{name}, {_GROUP}", f"GROUP BY 1 ORDER BY {order}")
    return [Group(*row) for row in rows]


def _age(connection: sqlite3.Connection) -> str:
    """Return the expression of an age, as it was when the last run started."""
    started = connection.execute("SELECT max(julianday(started)) FROM runs").fetchone()[0] or 0.0
    ages = _cases(f"{float(started)!r} - julianday(modified)", _AGES, "a year and more")
    return f"CASE WHEN julianday(modified) IS NULL THEN 'not known' ELSE {ages} END"


def _cases(value: str, bounds: Sequence[tuple[str, float]], otherwise: str) -> str:
    cases = "".join(f" WHEN {value} < {float(bound)!r} THEN '{name}'" for name, bound in bounds)
    return f"CASE{cases} ELSE '{otherwise}' END"
