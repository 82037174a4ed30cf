"""An audit file opened to be read: it is one, and it stays as it is until the reader has ended."""

from __future__ import annotations

import os
import sqlite3
from contextlib import closing, contextmanager
from typing import TYPE_CHECKING
from urllib.parse import quote

from ckpt_tools.errors import AuditInvalid, LockedByOther, PathNotFound
from ckpt_tools.storage.files import open_regular

if TYPE_CHECKING:
    from collections.abc import Iterator

APPLICATION_ID = 0x636B7074
VERSION = 1
PATIENCE_S = 5.0
"""How long a reader waits for a writer that locks the file."""


@contextmanager
def reading(path: str, patience_s: float = PATIENCE_S) -> Iterator[sqlite3.Connection]:
    """Yield the audit file at `path`, read-only, as it is now.

    Raises PathNotFound, NotAFile, Unreadable, AuditInvalid or LockedByOther.
    """
    if not os.path.lexists(path):
        raise PathNotFound("no such file or directory", path=path, hint=AuditInvalid.hint)
    with open_regular(path):
        pass
    try:
        with closing(_connected(path, patience_s)) as connection:
            # One snapshot: a run that writes meanwhile does not change what is read.
            connection.execute("BEGIN")
            _refuse_others(connection, path)
            yield connection
    except sqlite3.DatabaseError as error:
        raise _sentence(path, error) from None


def _connected(path: str, patience_s: float) -> sqlite3.Connection:
    """Return a connection, also to a file in a folder where SQLite may not write beside it."""
    uri = f"file:{quote(os.fsencode(os.path.abspath(path)))}?mode=ro"
    connection = sqlite3.connect(uri, uri=True, timeout=patience_s, isolation_level=None)
    try:
        connection.execute("PRAGMA user_version")
    except sqlite3.OperationalError as error:
        if error.sqlite_errorname != "SQLITE_CANTOPEN" or os.path.exists(f"{path}-wal"):
            raise
        connection.close()
        connection = sqlite3.connect(f"{uri}&immutable=1", uri=True, isolation_level=None)
    return connection


def _refuse_others(connection: sqlite3.Connection, path: str) -> None:
    """Raise AuditInvalid for what is no audit, and for an audit of another release."""
    (application,) = connection.execute("PRAGMA application_id").fetchone()
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    if application != APPLICATION_ID:
        raise AuditInvalid("is not an audit", path=path)
    if version > VERSION:
        raise AuditInvalid(
            f"is an audit of version {version}, which a newer release wrote",
            path=path,
            hint=f"update ckpt-tools; this release reads version {VERSION}",
        )


def _sentence(path: str, error: sqlite3.DatabaseError) -> Exception:
    name = error.sqlite_errorname if hasattr(error, "sqlite_errorname") else ""
    if name.startswith(("SQLITE_BUSY", "SQLITE_LOCKED")):
        return LockedByOther("is locked by another program", path=path)
    if name == "SQLITE_NOTADB":
        return AuditInvalid("is not an audit", path=path)
    return AuditInvalid(
        f"cannot be read as an audit: {error}",
        path=path,
        hint="restore it from a copy, or write it again with `ckpt audit run`",
    )
