"""The file of an audit, which is SQLite: opening, migrating and refusing it, writing and marking.

A run holds the file's write lock from its start to its end, but for the moment between the
transaction of one batch and the next: a second run is refused, readers are not. What is killed at
any moment leaves the last committed batch. Other modules read through `rows`.
"""

from __future__ import annotations

import json
import os
import sqlite3
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any, NamedTuple, Self

from ckpt_tools.audit import totals
from ckpt_tools.audit.copies import copies
from ckpt_tools.audit.model import Status
from ckpt_tools.errors import AuditInvalid, LockedByOther, NoSpace, PathNotFound, Unwritable
from ckpt_tools.rules.finding import Severity
from ckpt_tools.storage.durable import refused

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    from ckpt_tools.audit.model import Candidate, FileState, Record, Relation

APPLICATION = 0x636B7074
"""SQLite's application_id of these files: "ckpt"."""

VERSION = 1
"""SQLite's user_version of these files: the version of `schema.sql`."""

_SCHEMA = os.path.join(os.path.dirname(os.path.abspath(__file__)), "schema.sql")

MIGRATIONS: dict[int, str] = {}
"""The statements that make a file of one version one of the next, by the version before."""

_READER_MS = 60_000
"""How long a batch waits for somebody who is reading the file."""

_KNOWN = (
    "SELECT id, identity, revision, status, with_values, rules FROM checkpoints WHERE location = ?"
)

_LOCK_MS = 500

_CACHE_KB = 16_384


class Known(NamedTuple):
    """What the file has about a location: its number, and what tells whether to check it again."""

    id: int
    identity: bytes
    revision: str
    status: Status
    with_values: bool
    rules: str


class Checked(NamedTuple):
    """A candidate, its identity and the record of its check, ready to be written."""

    candidate: Candidate
    identity: bytes
    record: Record
    with_values: bool = False
    rules: str = ""


class Database:
    """An open file of an audit. Its methods raise a CkptError, which names the file."""

    def __init__(self, path: str, connection: sqlite3.Connection) -> None:
        self.path = path
        self.connection = connection
        self.changes = 0

    def __enter__(self) -> Self:
        """Return the open file."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close the file."""
        self.close()

    def close(self) -> None:
        """Undo what was not committed, and close the file."""
        with suppress(sqlite3.Error):
            self.connection.rollback()
        self.connection.close()

    def rows(self, sql: str, parameters: tuple[object, ...] = ()) -> Iterator[Any]:
        """Yield the rows of a query, as tuples, as they are needed."""
        with self.errors():
            yield from self.connection.execute(sql, parameters)

    def start(self, tool: str, rules: str, sources: Iterable[str], options: str) -> int:
        """Record that a run starts, and return its number."""
        return self._insert(
            "INSERT INTO runs (started, tool, rules, sources, options) VALUES"
            " (strftime('%Y-%m-%dT%H:%M:%SZ', 'now'), ?, ?, ?, ?)",
            (tool, rules, json.dumps(list(sources)), options),
        )

    def finish(self, run: int, requests: int = 0) -> None:
        """Record that a run is complete, and forget contents that no evidence names any more."""
        with self._transaction() as cursor:
            added_up = copies(self.connection)
            totals.store(self.connection, run)
            cursor.execute("DELETE FROM contents WHERE digest NOT IN (SELECT digest FROM evidence)")
            cursor.execute(
                "UPDATE runs SET finished = strftime('%Y-%m-%dT%H:%M:%SZ', 'now'), requests = ?,"
                " weights = ?, copied = ? WHERE id = ?",
                (requests, added_up.nbytes, added_up.copied, run),
            )

    def known(self, location: str) -> Known | None:
        """Return what the file has about a location, None if nothing."""
        with self.errors():
            found = self.connection.execute(_KNOWN, (location,)).fetchone()
        if found is None:
            return None
        number, identity, revision, status, with_values, rules = found
        return Known(number, identity, revision, Status(status), bool(with_values), rules)

    def write(
        self,
        run: int,
        checked: Iterable[Checked],
        contents: Mapping[bytes, bytes] | None = None,
        seen: Iterable[tuple[int, str]] = (),
    ) -> None:
        """Write the records of a batch, and mark the rows `seen` in a source, all or nothing.

        `contents` are the compressed texts that the records' evidence names, by digest.
        """
        with self._transaction() as cursor:
            cursor.executemany(
                "UPDATE checkpoints SET last_seen = ?, source = ? WHERE id = ?",
                ((run, source, number) for number, source in seen),
            )
            cursor.executemany(
                "INSERT OR IGNORE INTO contents VALUES (?, ?)", (contents or {}).items()
            )
            for one in checked:
                self._write_one(cursor, run, one)
                self.changes += 1

    def evidence(self, checkpoint: int) -> tuple[tuple[str, bytes], ...]:
        """Return (name, digest) of what the last check of a checkpoint read, empty if not kept."""
        return tuple(
            self.rows(
                "SELECT path, digest FROM evidence WHERE checkpoint = ? ORDER BY path",
                (checkpoint,),
            )
        )

    def content(self, digest: bytes) -> bytes | None:
        """Return a compressed text by its digest, None if the file lacks it."""
        found = next(self.rows("SELECT content FROM contents WHERE digest = ?", (digest,)), None)
        return None if found is None else bytes(found[0])

    def worst(self, run: int) -> dict[Severity, int]:
        """Count the checkpoints that a run saw by their worst finding."""
        found = self.rows(
            "SELECT CASE WHEN errors THEN 'error' WHEN warnings THEN 'warning' ELSE 'note' END,"
            " count(*) FROM checkpoints WHERE last_seen = ? AND errors + warnings + notes"
            " GROUP BY 1",
            (run,),
        )
        return {Severity(severity): number for severity, number in found}

    def vanish(self, run: int, source: str, is_kept: Callable[[str], bool]) -> int:
        """Mark the checkpoints of a source that a run did not see; return how many are new.

        Locations that `is_kept`, since the run did not look there, stay as they are.
        """
        unseen = self.rows(
            "SELECT id, location FROM checkpoints"
            " WHERE source = ? AND last_seen <> ? AND status <> 'vanished'",
            (source, run),
        )
        gone = [(number,) for number, location in unseen if not is_kept(location)]
        with self._transaction() as cursor:
            cursor.executemany("UPDATE checkpoints SET status = 'vanished' WHERE id = ?", gone)
        self.changes += len(gone)
        return len(gone)

    def is_after_interruption(self, run: int) -> bool:
        """Whether the run before this one did not end, and left relations of before."""
        return any(self.rows("SELECT 1 FROM runs WHERE id = ? AND finished IS NULL", (run - 1,)))

    def replace_relations(self, relations: Iterable[Relation]) -> None:
        """Replace every relation by these, all or nothing."""
        with self._transaction() as cursor:
            cursor.execute("DELETE FROM relations")
            cursor.executemany(
                'INSERT INTO relations (of, "to", kind, name, share, bytes, detail)'
                " VALUES (?, ?, ?, ?, ?, ?, ?)",
                relations,
            )

    def _write_one(self, cursor: sqlite3.Cursor, run: int, one: Checked) -> None:
        known = self.known(one.candidate.location)
        number = _write_checkpoint(cursor, run, one)
        if known is not None:
            if one.candidate.files:
                cursor.execute("DELETE FROM files WHERE checkpoint = ?", (number,))
            for table in ("findings", "coverage", "tensors", "parts", "evidence"):
                cursor.execute(f"DELETE FROM {table} WHERE checkpoint = ?", (number,))  # noqa: S608 - our own names
        _write_parts(cursor, number, one.candidate.files, one.record)

    def _insert(self, sql: str, parameters: tuple[object, ...]) -> int:
        with self._transaction() as cursor:
            cursor.execute(sql, parameters)
            return cursor.lastrowid or 0

    @contextmanager
    def _transaction(self) -> Iterator[sqlite3.Cursor]:
        """Commit what the block does, and take the write lock again at once."""
        with self.errors():
            cursor = self.connection.cursor()
            try:
                yield cursor
            except BaseException:
                self.connection.rollback()
                with suppress(sqlite3.Error):
                    self.connection.execute("BEGIN IMMEDIATE")
                raise
            self.connection.execute("COMMIT")
            self.connection.execute("BEGIN IMMEDIATE")

    @contextmanager
    def errors(self) -> Iterator[None]:
        """Raise what SQLite raises in the block as the tool's errors, with the path."""
        try:
            yield
        except sqlite3.Error as error:
            raise _sentence(self.path, error) from None


def open_to_write(path: str) -> Database:
    """Open the file of an audit, or create it, and take its write lock.

    Raises AuditInvalid for another program's file or one of a newer release, LockedByOther while
    another run writes to it, NoSpace or Unwritable.
    """
    _refuse_what_is_no_file(path)
    return _opened(path, f"file:{_quoted(path)}?mode=rwc", write=True)


def open_to_read(path: str) -> Database:
    """Open the file of an audit, also while a run writes to it. An older version is migrated.

    Raises PathNotFound, and what `open_to_write` raises.
    """
    if not os.path.lexists(path):
        raise PathNotFound(
            "no such file or directory", path=path, hint="write it first: ckpt audit run"
        )
    _refuse_what_is_no_file(path)
    try:
        # What an interrupted run did not commit is undone by whoever opens the file next.
        return _opened(path, f"file:{_quoted(path)}?mode=rw", write=False)
    except Unwritable:
        return _opened(path, f"file:{_quoted(path)}?mode=ro", write=False)


def _opened(path: str, address: str, *, write: bool) -> Database:
    try:
        connection = sqlite3.connect(address, uri=True, isolation_level=None)
        try:
            return _prepared(path, connection, write=write)
        except BaseException:
            connection.close()
            raise
    except sqlite3.Error as error:
        raise _sentence(path, error) from None


def _prepared(path: str, connection: sqlite3.Connection, *, write: bool) -> Database:
    connection.execute(f"PRAGMA busy_timeout = {_LOCK_MS if write else _READER_MS}")
    if write:
        connection.execute("BEGIN IMMEDIATE")
    version = _checked_version(path, connection)
    if version == 0 and not write:
        raise AuditInvalid("is empty", path=path)
    if version < VERSION and not write:
        connection.close()
        open_to_write(path).close()
        return open_to_read(path)
    if version < VERSION:
        _migrate(connection, version)
    connection.execute(f"PRAGMA busy_timeout = {_READER_MS}")
    connection.execute(f"PRAGMA cache_size = {-_CACHE_KB}")
    return Database(path, connection)


def _checked_version(path: str, connection: sqlite3.Connection) -> int:
    """Return the version of a file, 0 for an empty one. Raises AuditInvalid for another's."""
    ((application,),) = connection.execute("PRAGMA application_id")
    ((version,),) = connection.execute("PRAGMA user_version")
    ((tables,),) = connection.execute("SELECT count(*) FROM sqlite_master")
    if application == 0 and version == 0 and tables == 0:
        return 0
    if application != APPLICATION:
        raise AuditInvalid("is an SQLite file of another program", path=path)
    if version > VERSION:
        raise AuditInvalid(
            f"was written by a newer release of ckpt-tools (version {version} of the file, this"
            f" release reads up to {VERSION})",
            path=path,
            hint="upgrade: pip install -U ckpt-tools",
        )
    return int(version)


def _migrate(connection: sqlite3.Connection, version: int) -> None:
    """Make an empty or older file one of this version, in the transaction that is open."""
    if version == 0:
        with open(_SCHEMA, encoding="utf-8") as file:
            steps = [file.read()]
    else:
        steps = [MIGRATIONS[one] for one in range(version, VERSION)]
    for step in steps:
        for statement in _statements(step):
            connection.execute(statement)
    connection.execute(f"PRAGMA application_id = {APPLICATION}")
    connection.execute(f"PRAGMA user_version = {VERSION}")
    connection.execute("COMMIT")
    connection.execute("BEGIN IMMEDIATE")


def _statements(script: str) -> Iterator[str]:
    """Yield the statements of a script: `executescript` would commit before the first."""
    statement = ""
    for line in script.splitlines(keepends=True):
        statement += line
        if sqlite3.complete_statement(statement):
            yield statement
            statement = ""


def _write_checkpoint(cursor: sqlite3.Cursor, run: int, one: Checked) -> int:
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
        tuple(values.values()),
    )
    return int(cursor.fetchone()[0])


def _bases(candidate: Candidate, record: Record) -> str:
    """Return what a checkpoint declares as its base, and the Hub says of it, a line each."""
    names = (*record.base_model.splitlines(), *candidate.base_model)
    return "\n".join(dict.fromkeys(filter(None, names)))


def _severities(record: Record) -> dict[str, int]:
    severities = [one.severity for one in record.findings]
    return {f"{severity}s": severities.count(severity) for severity in Severity}


def _write_parts(
    cursor: sqlite3.Cursor, number: int, files: Iterable[FileState], record: Record
) -> None:
    cursor.executemany(
        "INSERT OR REPLACE INTO files VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
        ((number, *one, one.path in record.weights) for one in files),
    )
    cursor.executemany(
        "INSERT INTO findings (checkpoint, code, severity, path, subject, what, next)"
        " VALUES (?, ?, ?, ?, ?, ?, ?)",
        (
            (number, one.code, one.severity, one.path, one.subject, one.what, one.next)
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
        ((number, path, digest) for path, digest in record.evidence),
    )


def _sentence(path: str, error: sqlite3.Error) -> Exception:
    """Return the error of SQLite as one of the tool's."""
    code = getattr(error, "sqlite_errorcode", 0) & 0xFF
    if code == sqlite3.SQLITE_NOTADB:
        return AuditInvalid("is not an SQLite file", path=path)
    if code == sqlite3.SQLITE_CORRUPT:
        return AuditInvalid("is a damaged SQLite file", path=path)
    if code in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
        return LockedByOther("another program is writing to this file", path=path)
    if code == sqlite3.SQLITE_FULL:
        hint = "free some space and run the same command again: it goes on where it stopped"
        return NoSpace("cannot be written: the disk is full", path=path, hint=hint)
    return Unwritable(
        f"cannot be read or written: {error}", path=path, hint="check the folder and the disk"
    )


def _refuse_what_is_no_file(path: str) -> None:
    """Raise Unwritable or AuditInvalid for a folder, a pipe, or a path in a missing folder."""
    if os.path.lexists(path) and not os.path.isfile(path):
        raise AuditInvalid("is not a file", path=path)
    folder = os.path.dirname(path) or "."
    if not os.path.isdir(folder):
        raise refused(path, FileNotFoundError(2, os.strerror(2)))


def _quoted(path: str) -> str:
    """Return a path, absolute, as it stands in SQLite's URI."""
    path = f"/{os.path.abspath(path).lstrip('/')}"
    return path.replace("%", "%25").replace("?", "%3f").replace("#", "%23")
