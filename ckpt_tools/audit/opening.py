"""Opening the file of an audit: creating it, migrating an older one, refusing what is none."""

from __future__ import annotations

import os
import sqlite3
from typing import TYPE_CHECKING

from ckpt_tools import shell
from ckpt_tools.audit.database import Database, error_of
from ckpt_tools.errors import AuditInvalid, PathNotFound, UnknownSelection, Unwritable
from ckpt_tools.storage.durable import refused

if TYPE_CHECKING:
    from collections.abc import Iterator

APPLICATION = 0x636B7074
"""SQLite's application_id of these files: "ckpt"."""

VERSION = 1
"""SQLite's user_version of these files: the version of `schema.sql`."""

MIGRATIONS: dict[int, str] = {}
"""The statements that make a file of one version one of the next, by the version before."""

_SCHEMA = os.path.join(os.path.dirname(os.path.abspath(__file__)), "schema.sql")

_READER_MS = 60_000
"""How long a batch waits for somebody who is reading the file."""

_LOCK_MS = 500
_CACHE_KB = 16_384


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
            "no such file or directory",
            path=path,
            hint=f"write it first: ckpt audit run WHERE --out {shell.quote(path)}",
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
        raise error_of(path, error) from None


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


def _refuse_what_is_no_file(path: str) -> None:
    """Raise a CkptError for a folder, a pipe, a path in a missing folder, or no path at all."""
    if not path:
        raise UnknownSelection("no file is named", hint="name the file of an audit")
    if os.path.lexists(path) and not os.path.isfile(path):
        raise AuditInvalid("is not a file", path=path)
    folder = os.path.dirname(path) or "."
    if not os.path.isdir(folder):
        raise refused(path, FileNotFoundError(2, os.strerror(2)))


def _quoted(path: str) -> str:
    """Return a path, absolute, as it stands in SQLite's URI."""
    path = f"/{os.path.abspath(path).lstrip('/')}"
    return path.replace("%", "%25").replace("?", "%3f").replace("#", "%23")
