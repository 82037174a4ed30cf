"""The rows of one checkpoint in the file of an audit."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, NamedTuple

from ckpt_tools.audit.naming import printable
from ckpt_tools.rules.finding import Severity

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterable

    from ckpt_tools.audit.model import Candidate, FileState, Record


class Checked(NamedTuple):
    """A candidate, its identity and the record of its check, ready to be written."""

    candidate: Candidate
    identity: bytes
    record: Record
    with_values: bool = False
    rules: str = ""


def write_checkpoint(cursor: sqlite3.Cursor, run: int, one: Checked) -> int:
    """Insert or replace the row of a checkpoint, and return its number."""
    candidate, record = one.candidate, one.record
    values = {
        "location": candidate.location,
        "source": candidate.source,
        "owner": candidate.owner,
        "name": candidate.name,
        "revision": candidate.revision,
        "identity": one.identity,
        "status": record.status,
        "reason": record.reason,
        "kind": record.kind,
        "family": record.family,
        **_severities(record),
        "tensors": record.tensor_count,
        "parameters": record.parameters,
        "bytes": record.nbytes,
        "dtypes": json.dumps(dict(record.dtypes)),
        "structure": record.structure,
        "payload": record.payload,
        "base_model": _bases(candidate, record),
        "modified": candidate.modified,
        "with_values": int(one.with_values),
        "rules": one.rules,
        "first_seen": run,
        "last_seen": run,
        "judged": run,
    }
    changed = ", ".join(
        f"{name} = excluded.{name}" for name in values if name not in ("location", "first_seen")
    )
    cursor.execute(
        f"INSERT INTO checkpoints ({', '.join(values)}) VALUES ({', '.join('?' * len(values))})"  # noqa: S608 - our own names
        f" ON CONFLICT (location) DO UPDATE SET {changed} RETURNING id",
        _storable(values.values()),
    )
    return int(cursor.fetchone()[0])


def _storable(values: Iterable[object]) -> tuple[object, ...]:
    """Return values as SQLite takes them: a text may have bytes of a name that is not UTF-8."""
    return tuple(printable(one) if type(one) is str else one for one in values)


def _bases(candidate: Candidate, record: Record) -> str:
    """Return what a checkpoint declares as its base, and the Hub says of it, a line each."""
    names = (*record.base_model.splitlines(), *candidate.base_model)
    return "\n".join(dict.fromkeys(filter(None, names)))


def _severities(record: Record) -> dict[str, int]:
    severities = [one.severity for one in record.findings]
    return {f"{severity}s": severities.count(severity) for severity in Severity}


def write_parts(
    cursor: sqlite3.Cursor, number: int, files: Iterable[FileState], record: Record
) -> None:
    """Insert what a checkpoint has in the other tables, from which its old rows were deleted."""
    cursor.executemany(
        "INSERT OR REPLACE INTO files VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
        (_storable((number, *one, one.path in record.weights)) for one in files),
    )
    cursor.executemany(
        "INSERT INTO findings (checkpoint, code, severity, path, subject, what, next)"
        " VALUES (?, ?, ?, ?, ?, ?, ?)",
        (
            _storable((number, one.code, one.severity, one.path, one.subject, one.what, one.next))
            for one in record.findings
        ),
    )
    cursor.executemany(
        "INSERT INTO coverage VALUES (?, ?, ?, ?)",
        ((number, one.question, one.state, one.detail) for one in record.coverage),
    )
    cursor.executemany(
        "INSERT INTO tensors VALUES (?, ?, ?, 1) ON CONFLICT DO UPDATE SET number = number + 1",
        ((number, one.digest, one.nbytes) for one in record.tensors),
    )
    cursor.executemany(
        "INSERT INTO parts VALUES (?, ?, ?, ?, ?)", ((number, *one) for one in record.parts)
    )
    cursor.executemany(
        "INSERT INTO evidence VALUES (?, ?, ?)",
        (_storable((number, path, digest)) for path, digest in record.evidence),
    )
