"""The file of an audit, which is SQLite: reading it, writing batches, marking what vanished.

A run holds the file's write lock from its start to its end, but for the moment between the
transaction of one batch and the next: a second run is refused, readers are not. What is killed at
any moment leaves the last committed batch. Other modules read through `rows`, and open the file
with `opening`.
"""

from __future__ import annotations

import json
import sqlite3
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any, NamedTuple, Self

from ckpt_tools.audit import totals
from ckpt_tools.audit.copies import copies
from ckpt_tools.audit.model import Status
from ckpt_tools.audit.writing import write_checkpoint, write_parts
from ckpt_tools.errors import AuditInvalid, CkptError, LockedByOther, NoSpace, Unwritable
from ckpt_tools.rules.finding import Severity

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from ckpt_tools.audit.model import Relation
    from ckpt_tools.audit.writing import Checked

_KNOWN = (
    "SELECT id, identity, revision, status, with_values, rules FROM checkpoints WHERE location = ?"
)

_UNSEEN = """
SELECT id, location, source, status = 'failed'
    AND NOT EXISTS (SELECT 1 FROM files WHERE checkpoint = id) FROM checkpoints
WHERE last_seen <> ? AND status <> 'vanished'
"""

_PARTS = ("findings", "coverage", "tensors", "parts", "evidence")
"""What a check of a checkpoint gives, in tables of their own."""


class Unseen(NamedTuple):
    """A row that a run did not see. `is_unknown`: no run ever knew what is at its location."""

    id: int
    location: str
    source: str
    is_unknown: bool


class Known(NamedTuple):
    """What the file has about a location: its number, and what tells whether to check it again."""

    id: int
    identity: bytes
    revision: str
    status: Status
    with_values: bool
    rules: str


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

    def unseen(self, run: int) -> Iterator[Unseen]:
        """Yield the rows that a run did not see, but for those that vanished before."""
        return map(Unseen._make, self.rows(_UNSEEN, (run,)))

    def vanish(self, rows: Iterable[int], forgotten: Iterable[int] = ()) -> None:
        """Mark checkpoints as vanished, and remove the rows that are `forgotten`."""
        gone, removed = [(one,) for one in rows], [(one,) for one in forgotten]
        with self._transaction() as cursor:
            cursor.executemany("UPDATE checkpoints SET status = 'vanished' WHERE id = ?", gone)
            for table in _PARTS:
                cursor.executemany(f"DELETE FROM {table} WHERE checkpoint = ?", removed)  # noqa: S608 - our own names
            cursor.executemany("DELETE FROM checkpoints WHERE id = ?", removed)
        self.changes += len(gone) + len(removed)

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
        number = write_checkpoint(cursor, run, one)
        if known is not None:
            if one.candidate.files:
                cursor.execute("DELETE FROM files WHERE checkpoint = ?", (number,))
            for table in _PARTS:
                cursor.execute(f"DELETE FROM {table} WHERE checkpoint = ?", (number,))  # noqa: S608 - our own names
        write_parts(cursor, number, one.candidate.files, one.record)

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
            raise error_of(self.path, error) from None


def error_of(path: str, error: sqlite3.Error) -> CkptError:
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
