"""An audit's tables as Parquet files, through pyarrow, in a folder that is there as a whole or not.

What a check read (`evidence`, `contents`) stays in the audit: only `ckpt audit run` can use it.
"""

from __future__ import annotations

import os
import shutil
from typing import TYPE_CHECKING, Any

from ckpt_tools.errors import OutputExists, ParquetMissing
from ckpt_tools.storage.durable import writing

if TYPE_CHECKING:
    import sqlite3

TABLES = (
    *("runs", "checkpoints", "files", "findings", "coverage", "relations"),
    *("tensors", "parts"),
)
_ROWS = 50_000
"""Rows of a table in memory, and in a row group of its file."""


def export(connection: sqlite3.Connection, folder: str) -> dict[str, int]:
    """Write each table to a file in a new folder; return the number of rows of each.

    Raises ParquetMissing, OutputExists, NoSpace or Unwritable.
    """
    try:
        import pyarrow  # noqa: PLC0415 - optional, and slow to import
        from pyarrow import parquet  # noqa: PLC0415 - optional, and slow to import
    except ImportError:
        raise ParquetMissing("Parquet files are written by pyarrow, which is missing") from None
    if os.path.lexists(folder):
        raise OutputExists("already exists", path=folder, hint="choose another folder")
    part = f"{folder.rstrip('/')}.{os.getpid()}.part"
    try:
        with writing(folder):
            os.mkdir(part)
            rows = {name: _write(connection, name, part, pyarrow, parquet) for name in TABLES}
            os.rename(part, folder)
    finally:
        shutil.rmtree(part, ignore_errors=True)
    return rows


def _write(
    connection: sqlite3.Connection, name: str, folder: str, pyarrow: Any, parquet: Any
) -> int:
    types = {
        "INTEGER": pyarrow.int64(),
        "REAL": pyarrow.float64(),
        "TEXT": pyarrow.string(),
        "BLOB": pyarrow.binary(),
    }
    columns = connection.execute(f"PRAGMA table_info({name})").fetchall()
    schema = pyarrow.schema([(column, types[kind]) for _, column, kind, *_ in columns])
    selected = ", ".join(f'"{column}"' for _, column, *_ in columns)
    rows = connection.execute(f"SELECT {selected} FROM {name}")
    number = 0
    with parquet.ParquetWriter(os.path.join(folder, f"{name}.parquet"), schema) as writer:
        while chunk := rows.fetchmany(_ROWS):
            arrays = [
                pyarrow.array(values, field.type)
                for values, field in zip(zip(*chunk, strict=True), schema, strict=True)
            ]
            writer.write_table(pyarrow.Table.from_arrays(arrays, schema=schema))
            number += len(chunk)
    return number
