"""An audit opened to be read: it stays as it is until the reader has ended."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from ckpt_tools.audit.opening import open_to_read
from ckpt_tools.errors import AuditInvalid

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
        try:
            yield database.connection
        except ValueError as error:
            raise AuditInvalid(f"has a value that no audit has: {error}", path=path) from None
