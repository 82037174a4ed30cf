"""Relations between the checkpoints of an audit, computed anew after every run."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator
    from sqlite3 import Connection

    from ckpt_tools.audit.model import Relation


def relate(connection: Connection) -> Iterator[Relation]:
    """Yield every relation between checkpoints. Call it in a transaction."""
    del connection
    yield from ()
