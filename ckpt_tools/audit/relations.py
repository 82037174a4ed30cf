"""Relations between the checkpoints of an audit.

The tables are read through a connection, and only temporary ones are written, on disk: a number or
two a checkpoint is kept in memory, and the time is linear in the rows. In every group of equals
each is related to one representative, never to all others: the one that others declare as their
base, else the oldest, else the first by location.

A copy is related to its original only, and the originals among each other: a relation that follows
from the same payload is not repeated. What failed or vanished has no relations.
"""

from __future__ import annotations

from array import array
from itertools import groupby
from operator import itemgetter
from typing import TYPE_CHECKING

from blake3 import blake3

from ckpt_tools.audit.model import Relation, RelationKind
from ckpt_tools.storage.hub_name import SCHEME
from ckpt_tools.text import count

if TYPE_CHECKING:
    from collections.abc import Iterator
    from sqlite3 import Connection

LEAST_SHARE = 0.01
"""The part of a checkpoint's bytes below which an equal tensor or part says nothing.

Tensors as they were initialized, such as biases of zeros, are equal everywhere.
"""

_TEMPORARY = """
CREATE TEMP TABLE bases (name TEXT PRIMARY KEY, id INTEGER) WITHOUT ROWID;
CREATE TEMP TABLE payloads (key BLOB, id INTEGER);
CREATE TEMP TABLE ranked (id INTEGER PRIMARY KEY, rank INTEGER UNIQUE, bytes INTEGER);
CREATE TEMP TABLE contained (
    digest BLOB, rank INTEGER, title TEXT, tensors INTEGER, bytes INTEGER,
    PRIMARY KEY (digest, rank)
) WITHOUT ROWID;
CREATE INDEX temp.contained_by_rank ON contained (rank);
CREATE TEMP TABLE shared (digest BLOB PRIMARY KEY, rank INTEGER) WITHOUT ROWID;
"""

# Of several that have the name: the repository itself, else the oldest in a cache, else the oldest
# that `_local_names` gives it.
_BASES = f"""
INSERT OR IGNORE INTO bases
    SELECT location, id FROM checkpoints WHERE status = 'checked';
INSERT OR IGNORE INTO bases
    SELECT substr(location, {len(SCHEME) + 1}), id FROM checkpoints
    WHERE status = 'checked' AND location LIKE '{SCHEME}%';
INSERT OR IGNORE INTO bases
    SELECT name, id FROM checkpoints
    WHERE status = 'checked' AND name LIKE '%/%' ORDER BY modified = '', modified, location;
"""  # noqa: S608 - a constant of this tool

_DECLARED = """
SELECT id, base_model, kind LIKE '%adapter%' FROM checkpoints
WHERE status = 'checked' AND base_model != '' ORDER BY id
"""

_IN_ORDER = """
SELECT id, location FROM checkpoints WHERE status = 'checked'
ORDER BY modified = '', modified, location
"""

_FILES = """
SELECT checkpoint, sha256, xet,
    CASE inode WHEN '' THEN '' ELSE inode || ' ' || size || ' ' || modified_ns END
FROM files JOIN checkpoints ON id = checkpoint
WHERE weights AND status = 'checked' AND bytes > 0 ORDER BY checkpoint
"""

_STRUCTURES = """
SELECT structure, id FROM ranked JOIN checkpoints USING (id)
WHERE structure IS NOT NULL AND ranked.bytes > 0 ORDER BY structure, rank
"""

# A whole checkpoint is a part of those that contain it, such as the VAE of a pipeline.
_PARTS = """
INSERT INTO contained
SELECT digest, rank, MAX(title), part.tensors, part.bytes FROM (
    SELECT checkpoint, digest, title, tensors, bytes FROM parts UNION ALL
    SELECT id, payload, '', tensors, bytes FROM checkpoints WHERE payload IS NOT NULL
) AS part JOIN ranked ON id = checkpoint
WHERE part.bytes > 0 AND ranked.bytes > 0 GROUP BY digest, rank
"""

_FROZEN = """
SELECT DISTINCT one.id, first.id, one.bytes, one.rank, first.rank
FROM (SELECT digest, MIN(rank) AS rank FROM contained GROUP BY digest HAVING COUNT(*) > 1) AS least
CROSS JOIN contained AS part ON part.digest = least.digest AND part.rank > least.rank
CROSS JOIN ranked AS one ON one.rank = part.rank
CROSS JOIN ranked AS first ON first.rank = least.rank
ORDER BY one.rank, first.rank
"""

_EQUAL_PARTS = """
SELECT MAX(one.title, first.title) AS name, one.tensors, one.bytes
FROM contained AS one JOIN contained AS first USING (digest)
WHERE one.rank = ? AND first.rank = ? ORDER BY name
"""

_FIRST = """
INSERT INTO shared SELECT digest, MIN(rank) FROM tensors JOIN ranked ON id = checkpoint
GROUP BY digest HAVING COUNT(*) > 1
"""

_SHARES = """
SELECT one.id, first.id, one.bytes FROM tensors
CROSS JOIN ranked AS one ON one.id = checkpoint CROSS JOIN shared USING (digest)
CROSS JOIN ranked AS first ON first.rank = shared.rank
WHERE first.rank < one.rank AND one.bytes > 0 GROUP BY one.id, first.id
HAVING SUM(tensors.bytes * number) >= ? * one.bytes ORDER BY one.rank, first.rank
"""

_OVERLAP = """
SELECT SUM(one.bytes * one.number) FROM tensors AS one JOIN tensors AS other USING (digest)
WHERE one.checkpoint = ? AND other.checkpoint = ?
"""


def relate(connection: Connection, least: float = LEAST_SHARE) -> Iterator[Relation]:
    """Yield every relation between checkpoints, by kind. Call it in a transaction.

    Tensors and parts with less than the part `least` of a checkpoint's bytes are left out.
    """
    _drop(connection)
    for statement in (*_TEMPORARY.split(";"), *_BASES.split(";")):
        connection.execute(statement)
    connection.executemany("INSERT OR IGNORE INTO bases VALUES (?, ?)", _local_names(connection))
    targets: set[int] = set()
    yield from _declared(connection, targets)
    yield from _same_payload(connection, targets)
    yield from _same_structure(connection)
    yield from _frozen_parts(connection, least)
    yield from _shares(connection, least)
    _drop(connection)


def _drop(connection: Connection) -> None:
    for table in ("bases", "payloads", "ranked", "contained", "shared"):
        connection.execute(f"DROP TABLE IF EXISTS temp.{table}")


def _local_names(connection: Connection) -> Iterator[tuple[str, int]]:
    """Yield (owner/name, checkpoint) for folders where a download keeps both parts of the name."""
    for number, location in connection.execute(_IN_ORDER):
        if "://" not in location:
            yield "/".join(location.rstrip("/").split("/")[-2:]), number


def _declared(connection: Connection, targets: set[int]) -> Iterator[Relation]:
    """Yield the relations that checkpoints declare; add to `targets` what is a base."""
    for number, names, is_adapter in connection.execute(_DECLARED):
        kind = RelationKind.ADAPTER_OF if is_adapter else RelationKind.DECLARED_BASE
        for name in names.splitlines():
            plain = name.removeprefix(SCHEME).partition("@")[0].rstrip("/")
            row = connection.execute("SELECT id FROM bases WHERE name = ?", (plain,)).fetchone()
            target = row[0] if row else None
            if target == number:
                continue
            if target is not None:
                targets.add(target)
            yield Relation(number, target, kind, name)


# --- copies ---------------------------------------------------------------------------------------


def _same_payload(connection: Connection, targets: set[int]) -> Iterator[Relation]:
    """Relate copies to their original, and store what is none, with its rank, in `ranked`."""
    connection.executemany("INSERT INTO payloads VALUES (?, ?)", _file_keys(connection))
    connection.execute(
        "INSERT INTO payloads SELECT payload, id FROM checkpoints"
        " WHERE status = 'checked' AND payload IS NOT NULL AND bytes > 0"
    )
    groups = _Groups(connection)
    for _, rows in groupby(
        connection.execute("SELECT key, id FROM payloads ORDER BY key"), itemgetter(0)
    ):
        (_, first), *rest = rows
        for _, other in rest:
            groups.join(first, other)
    ranks = _ranks(connection, targets)
    original = groups.representatives(ranks)
    rows = connection.execute("SELECT id, bytes FROM checkpoints WHERE status = 'checked'")
    for number, nbytes in rows:
        first = original[number]
        if first == number:
            connection.execute(
                "INSERT INTO ranked VALUES (?, ?, ?)", (number, ranks[number], nbytes)
            )
        else:
            yield Relation(number, first, RelationKind.SAME_PAYLOAD, share=1.0, nbytes=nbytes)


def _file_keys(connection: Connection) -> Iterator[tuple[bytes, int]]:
    """Yield (key, checkpoint): one for each kind of digest that all its weight files have."""
    for number, rows in groupby(connection.execute(_FILES), itemgetter(0)):
        kinds = zip(*(row[1:] for row in rows), strict=True)
        for kind, digests in zip(("sha256", "xet", "inode"), kinds, strict=True):
            if all(digests):
                yield blake3("\n".join((kind, *sorted(digests))).encode()).digest(), number


def _ranks(connection: Connection, targets: set[int]) -> array[int]:
    """Return by number which is preferred as the representative: the lowest."""
    ranks = array("q", bytes(8 * _size(connection)))
    for rank, (number, _) in enumerate(connection.execute(_IN_ORDER)):
        ranks[number] = rank if number in targets else rank + len(ranks)
    return ranks


def _size(connection: Connection) -> int:
    return int(connection.execute("SELECT COALESCE(MAX(id), 0) + 1 FROM checkpoints").fetchone()[0])


class _Groups:
    """Disjoint groups of numbers that are joined two by two."""

    def __init__(self, connection: Connection) -> None:
        self._parents = array("q", range(_size(connection)))

    def join(self, one: int, other: int) -> None:
        """Unite the groups of two numbers."""
        self._parents[self._root(one)] = self._root(other)

    def representatives(self, ranks: array[int]) -> array[int]:
        """Return for each number the one of its group with the lowest rank."""
        best = array("q", range(len(ranks)))
        for number in range(len(ranks)):
            root = self._root(number)
            best[root] = min(best[root], number, key=ranks.__getitem__)
        return array("q", (best[self._root(number)] for number in range(len(ranks))))

    def _root(self, number: int) -> int:
        parents = self._parents
        while parents[number] != number:
            parents[number] = parents[parents[number]]
            number = parents[number]
        return number


# --- among originals ------------------------------------------------------------------------------


def _same_structure(connection: Connection) -> Iterator[Relation]:
    for _, rows in groupby(connection.execute(_STRUCTURES), itemgetter(0)):
        (_, first), *rest = rows
        for _, number in rest:
            yield Relation(number, first, RelationKind.SAME_STRUCTURE)


def _frozen_parts(connection: Connection, least: float) -> Iterator[Relation]:
    """Relate each to the first that has some of its parts, with all parts that both have."""
    connection.execute(_PARTS)
    for number, first, whole, *ranks in connection.execute(_FROZEN):
        parts = connection.execute(_EQUAL_PARTS, ranks).fetchall()
        nbytes = sum(part[2] for part in parts)
        if nbytes >= least * whole:
            yield Relation(
                number,
                first,
                RelationKind.FROZEN_PART,
                share=nbytes / whole,
                nbytes=nbytes,
                detail=", ".join(f"{title} ({count(n, 'tensor')})" for title, n, _ in parts),
            )


def _shares(connection: Connection, least: float) -> Iterator[Relation]:
    """Relate each to the first that has some of its tensors, with all the bytes that both have."""
    connection.execute(_FIRST)
    for number, first, whole in connection.execute(_SHARES, (least,)):
        (nbytes,) = connection.execute(_OVERLAP, (number, first)).fetchone()
        yield Relation(
            number, first, RelationKind.SHARES_TENSORS, share=nbytes / whole, nbytes=nbytes
        )
