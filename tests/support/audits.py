"""Audits for tests: small files with given checkpoints, findings and relations."""

from __future__ import annotations

import json
import sqlite3
from importlib import resources
from typing import TYPE_CHECKING, NamedTuple

from ckpt_tools.audit.opening import APPLICATION, VERSION

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

_REST = ("model.safetensors", "a.weight", "is wrong", "repair it")
STARTED, FINISHED = "2026-05-01T12:00:00Z", "2026-05-01T12:10:00Z"


class Made(NamedTuple):
    """A checkpoint of a test's audit; findings are (code, severity, …) as in the table."""

    location: str
    family: str = "smolvla"
    owner: str = "lab"
    source: str = "/data"
    status: str = "checked"
    reason: str = ""
    nbytes: int = 1_000_000
    modified: str = "2026-04-30T12:00:00Z"
    identity: bytes = b"1"
    rules: str = "r1"
    base_model: str = ""
    with_values: int = 0
    findings: tuple[tuple[str, ...], ...] = ()
    coverage: tuple[tuple[str, str], ...] = (("container", "checked"), ("values", "skipped"))


class Related(NamedTuple):
    """A relation by locations; `to` is "" for a base that the audit lacks."""

    of: str
    to: str
    kind: str
    name: str = ""
    share: float = 0.0
    nbytes: int = 0
    detail: str = ""


def write_audit(
    path: Path, made: Iterable[Made], related: Iterable[Related] = (), finished: str = FINISHED
) -> str:
    """Write an audit and return its path."""
    connection = sqlite3.connect(path)
    with connection:
        schema = resources.files("ckpt_tools.audit").joinpath("schema.sql")
        connection.executescript(schema.read_text("utf-8"))
        connection.execute(f"PRAGMA application_id = {APPLICATION}")
        connection.execute(f"PRAGMA user_version = {VERSION}")
        _insert(
            connection,
            "runs",
            id=1,
            started=STARTED,
            finished=finished or None,
            tool="0.1.0",
            rules="r1",
            sources=json.dumps(["/data"]),
            options="{}",
        )
        numbers = {one.location: _write(connection, one) for one in made}
        for of, to, *rest in related:
            values = (numbers[of], numbers.get(to), rest[1], rest[0], *rest[2:])
            connection.execute("INSERT INTO relations VALUES (?, ?, ?, ?, ?, ?, ?)", values)
    connection.close()
    return str(path)


def _write(connection: sqlite3.Connection, made: Made) -> int:
    severities = [finding[1] for finding in made.findings]
    number = _insert(
        connection,
        "checkpoints",
        location=made.location,
        source=made.source,
        owner=made.owner,
        name=made.location.rpartition("/")[2],
        revision="",
        identity=made.identity,
        status=made.status,
        reason=made.reason,
        kind="policy",
        family=made.family,
        errors=severities.count("error"),
        warnings=severities.count("warning"),
        notes=severities.count("note"),
        tensors=10,
        parameters=1000,
        bytes=made.nbytes,
        dtypes='{"F32": 10}',
        base_model=made.base_model,
        modified=made.modified,
        with_values=made.with_values,
        rules=made.rules,
        first_seen=1,
        last_seen=1,
        judged=1,
    )
    for finding in made.findings:
        connection.execute(
            "INSERT INTO findings (checkpoint, code, severity, path, subject, what, next)"
            " VALUES (?, ?, ?, ?, ?, ?, ?)",
            (number, *finding, *_REST[len(finding) - 2 :]),
        )
    for question, state in made.coverage if made.status == "checked" else ():
        connection.execute("INSERT INTO coverage VALUES (?, ?, ?, '')", (number, question, state))
    return number


def _insert(connection: sqlite3.Connection, table: str, **values: object) -> int:
    query = f"INSERT INTO {table} ({', '.join(values)}) VALUES ({', '.join('?' * len(values))})"  # noqa: S608 - the test's own names
    return connection.execute(query, list(values.values())).lastrowid or 0
