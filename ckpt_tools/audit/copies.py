"""How many bytes of an audit are copies. Only rows are read, through a connection."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from sqlite3 import Connection

_COPIES = """
WITH places AS (
    SELECT MAX(size) AS size,
        MIN(checkpoint IN (SELECT of FROM relations WHERE kind = 'same-payload')) AS is_copy
    FROM files JOIN checkpoints ON id = checkpoint WHERE weights AND status = 'checked'
    GROUP BY CASE inode WHEN '' THEN location || '/' || path
        ELSE inode || ' ' || size || ' ' || modified_ns END
)
SELECT COALESCE(SUM(size), 0), COALESCE(SUM(size * is_copy), 0),
    (SELECT COUNT(*) FROM relations WHERE kind = 'same-payload') FROM places
"""


class Copies(NamedTuple):
    """The bytes of all weight files, and of these what keeping every payload once would free.

    A file with several names, as hard links and caches have, counts once, and is freed only if all
    its names are copies. `checkpoints` is the number of copies.
    """

    nbytes: int
    copied: int
    checkpoints: int


def copies(connection: Connection) -> Copies:
    """Add up the copies that the table of relations has."""
    return Copies(*connection.execute(_COPIES).fetchone())
