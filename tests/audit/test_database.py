"""The file of an audit: what is opened, migrated and refused, and writes that fail."""

from __future__ import annotations

import os
import sqlite3
from contextlib import closing
from typing import TYPE_CHECKING

import pytest

from ckpt_tools.audit import opening
from ckpt_tools.audit.model import Candidate, FileState, Record, Status
from ckpt_tools.audit.opening import open_to_read, open_to_write
from ckpt_tools.audit.writing import Checked
from ckpt_tools.errors import AuditInvalid, CkptError, LockedByOther, NoSpace, PathNotFound
from ckpt_tools.rules.finding import Finding, Severity

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from ckpt_tools.audit.database import Database


def checked(name: str, findings: int = 1) -> Checked:
    location = f"/data/{name}"
    found = tuple(Finding("CK999", Severity.ERROR, f"fault {one}") for one in range(findings))
    record = Record(location, Status.CHECKED, family="act", findings=found)
    candidate = Candidate(location, "/data", location, (FileState("a.safetensors", 3, 5),))
    return Checked(candidate, b"identity", record, rules="rules")


def start(path: Path) -> Database:
    opened = open_to_write(str(path))
    opened.start("1", "rules", ["/data"], "{}")
    return opened


def count(path: Path, table: str = "checkpoints") -> int:
    with open_to_read(str(path)) as opened:
        return int(next(opened.rows(f"SELECT count(*) FROM {table}"))[0])  # noqa: S608 - the test's own


def test_a_new_file_has_the_tables_and_says_whose_it_is(tmp_path: Path) -> None:
    path = tmp_path / "audit ?#%.db"
    start(path).close()
    assert path.exists()
    with closing(sqlite3.connect(path)) as connection:
        assert connection.execute("PRAGMA application_id").fetchone() == (0x636B7074,)
        assert connection.execute("PRAGMA user_version").fetchone() == (opening.VERSION,)
        assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)


def test_a_batch_is_written_as_a_whole_or_not_at_all(tmp_path: Path) -> None:
    path = tmp_path / "audit.db"
    with start(path) as opened:
        opened.write(1, [checked("a")], {b"digest": b"content"})
        broken = checked("c")._replace(identity=None)  # type: ignore[arg-type]  # what fails
        with pytest.raises(CkptError, match="NOT NULL"):
            opened.write(1, [checked("b"), broken])
        assert count(path) == 1
        opened.write(1, [checked("b")])
    assert count(path) == 2
    assert count(path, "findings") == 2


def test_a_second_check_replaces_the_first(tmp_path: Path) -> None:
    path = tmp_path / "audit.db"
    with start(path) as opened:
        opened.write(1, [checked("a", 5), checked("b")])
        opened.write(1, [checked("a", 2)])
        (number,) = next(opened.rows("SELECT id FROM checkpoints WHERE errors = 2"))
        assert number == 1, "the number of a checkpoint stays"
    assert (count(path), count(path, "findings"), count(path, "files")) == (2, 3, 2)


def test_a_file_is_read_while_a_run_writes_and_not_written_twice(tmp_path: Path) -> None:
    path = tmp_path / "audit.db"
    with start(path) as opened:
        opened.write(1, [checked("a")])
        assert count(path) == 1
        with pytest.raises(LockedByOther, match="another program is writing to this file"):
            open_to_write(str(path))
        opened.write(1, [checked("b")])
    with open_to_write(str(path)):
        assert count(path) == 2


def no_database(path: Path) -> None:
    path.write_text("this is the text of a report, and no database at all\n" * 50)


def other_program(path: Path) -> None:
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("CREATE TABLE music (title TEXT)")
        connection.commit()


def newer(path: Path) -> None:
    start(path).close()
    with closing(sqlite3.connect(path)) as connection:
        connection.execute(f"PRAGMA user_version = {opening.VERSION + 1}")


def damaged(path: Path) -> None:
    with start(path) as opened:
        for number in range(50):
            opened.write(1, [checked(f"{number}", 50)])
    data = bytearray(path.read_bytes())
    data[4096 + 8 :: 1] = os.urandom(len(data) - 4096 - 8)
    path.write_bytes(data)


def folder(path: Path) -> None:
    path.mkdir()


def pipe(path: Path) -> None:
    os.mkfifo(path)


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (no_database, "is not an SQLite file"),
        (other_program, "is an SQLite file of another program"),
        (newer, "was written by a newer release of ckpt-tools .* upgrade: pip install -U"),
        (damaged, "is a damaged SQLite file"),
        (folder, "is not a file"),
        (pipe, "is not a file"),
    ],
)
def test_what_is_no_audit_is_refused_in_a_sentence(
    tmp_path: Path, make: Callable[[Path], None], words: str
) -> None:
    path = tmp_path / "audit.db"
    make(path)
    before = path.read_bytes() if path.is_file() else b""
    for open_it in (open_to_write, open_to_read):
        with pytest.raises(AuditInvalid, match=words), open_it(str(path)) as opened:
            list(opened.rows("SELECT * FROM checkpoints JOIN findings"))
    assert (path.read_bytes() if path.is_file() else b"") == before


def test_a_missing_file_is_not_created_by_reading(tmp_path: Path) -> None:
    with pytest.raises(PathNotFound, match="write it first: ckpt audit run"):
        open_to_read(str(tmp_path / "audit.db"))
    with pytest.raises(CkptError, match="create its folder first"):
        open_to_write(str(tmp_path / "missing/audit.db"))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("open_it", [open_to_read, open_to_write])
def test_an_older_file_is_migrated(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, open_it: Callable[[str], Database]
) -> None:
    path = tmp_path / "audit.db"
    with start(path) as opened:
        opened.write(1, [checked("a")])
    monkeypatch.setattr(opening, "VERSION", 3)
    steps = {
        1: "ALTER TABLE checkpoints ADD COLUMN color TEXT NOT NULL DEFAULT 'red';",
        2: "UPDATE checkpoints SET color = 'blue';\nCREATE TABLE more (x INTEGER);\n",
    }
    monkeypatch.setattr(opening, "MIGRATIONS", steps)
    with open_it(str(path)) as opened:
        assert list(opened.rows("SELECT location, color FROM checkpoints")) == [("/data/a", "blue")]
        assert list(opened.rows("PRAGMA user_version")) == [(3,)]


def test_a_migration_that_fails_changes_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "audit.db"
    with start(path) as opened:
        opened.write(1, [checked("a")])
    before = path.read_bytes()
    with monkeypatch.context() as patch:
        patch.setattr(opening, "VERSION", 2)
        patch.setattr(opening, "MIGRATIONS", {1: "DROP TABLE evidence;\nSELECT nonsense;"})
        with pytest.raises(CkptError, match="nonsense"):
            open_to_write(str(path))
    assert path.read_bytes() == before
    assert count(path) == 1


def fill(opened: Database) -> None:
    for number in range(100):
        opened.write(1, [checked(f"{number}-{one}", 10) for one in range(10)])


def test_a_full_disk_ends_in_a_sentence_and_leaves_whole_batches(tmp_path: Path) -> None:
    path = tmp_path / "audit.db"
    with start(path) as opened:
        opened.connection.execute("PRAGMA max_page_count = 100")
        with pytest.raises(NoSpace, match="the disk is full; free some space and run the same"):
            fill(opened)
    written = count(path)
    assert written
    assert written % 10 == 0
    assert count(path, "findings") == 10 * written
    with open_to_write(str(path)) as opened:
        opened.write(1, [checked("more")])
    assert count(path) == written + 1
