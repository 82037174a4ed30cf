"""An audit's tables as Parquet files, through pyarrow, in a folder that is there as a whole or not.

What a check read (`evidence`, `contents`) stays in the audit: only `ckpt audit run` can use it.
"""

from __future__ import annotations

import os
from contextlib import suppress
from typing import TYPE_CHECKING

from ckpt_tools.errors import OutputExists, ParquetMissing
from ckpt_tools.storage.durable import writing

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterator

TABLES = (
    *("runs", "checkpoints", "files", "findings", "coverage", "relations"),
    *("tensors", "parts"),
)
_TYPES = {"INTEGER": "int64", "REAL": "float64", "TEXT": "string", "BLOB": "binary"}
_ROWS = 50_000
"""Rows of a table in memory, and in a row group of its file."""


def export(connection: sqlite3.Connection, folder: str) -> dict[str, int]:
    """Write each table to a file in a new folder; return the number of rows of each.

    Raises ParquetMissing, OutputExists, NoSpace or Unwritable.
    """
    try:
        import pyarrow as pa  # noqa: PLC0415 - optional, and slow to import
        from pyarrow import parquet  # noqa: PLC0415 - optional, and slow to import
    except ImportError:
        raise ParquetMissing("Parquet files are written by pyarrow, which is missing") from None
    if os.path.lexists(folder):
        raise OutputExists("already exists", path=folder, hint="choose another folder")
    part = f"{folder.rstrip('/')}.{os.getpid()}.part"
    try:
        with writing(folder):
            os.mkdir(part)
            rows = {}
            for name in TABLES:
                columns = connection.execute(f"PRAGMA table_info({name})").fetchall()
                types = (getattr(pa, _TYPES[kind])() for _, _, kind, *_ in columns)
                names = [column for _, column, *_ in columns]
                schema = pa.schema(list(zip(names, types, strict=True)))
                with parquet.ParquetWriter(os.path.join(part, f"{name}.parquet"), schema) as file:
                    rows[name] = 0
                    for chunk in _chunks(connection, name, names):
                        file.write_table(pa.table(chunk, schema=schema))
                        rows[name] += len(chunk[names[0]])
            os.rename(part, folder)
    finally:
        _remove(part)
    return rows


def _remove(folder: str) -> None:
    """Remove a folder of files, if it is there."""
    with suppress(OSError):
        for entry in os.scandir(folder):
            os.unlink(entry.path)
        os.rmdir(folder)


def _chunks(
    connection: sqlite3.Connection, table: str, columns: list[str]
) -> Iterator[dict[str, tuple[object, ...]]]:
    """Yield a table's columns, some rows at a time."""
    selected = ", ".join(f'"{column}"' for column in columns)
    rows = connection.execute(f"SELECT {selected} FROM {table}")
    while chunk := rows.fetchmany(_ROWS):
        yield dict(zip(columns, zip(*chunk, strict=True), strict=True))
