"""An audit opened to be read: it stays as it is until the reader has ended."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from ckpt_tools.audit.database import open_to_read

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterator


@contextmanager
def reading(path: str) -> Iterator[sqlite3.Connection]:
    """Yield the audit at `path` as it is now: what a run writes meanwhile is not seen.

    Raises PathNotFound, AuditInvalid, LockedByOther or Unwritable.
    """
    with open_to_read(path) as database, database.errors():
        database.connection.execute("BEGIN")
        yield database.connection
