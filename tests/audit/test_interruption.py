"""Audits that are killed, workers that are killed, and a disk that is full: real processes."""

from __future__ import annotations

import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
from contextlib import closing, suppress
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from ckpt_tools import api
from ckpt_tools.audit.engines.local import LocalEngine
from tests.support.fleet import FIXTURES, assert_same, make_tree, rows

if TYPE_CHECKING:
    from collections.abc import Iterator

WORKER = """
import os, signal, sys
from ckpt_tools import api
for line in sys.stdin:
    if "deadly" in line:
        os.kill(os.getpid(), signal.SIGKILL)
    print(api.examine_batch(line), flush=True)
"""


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Enough checkpoints for several batches."""
    folder = make_tree(tmp_path_factory.mktemp("tree"), 1)
    for number in range(120):
        shutil.copytree(FIXTURES / "language-model", folder / f"model-{number:03}")
    return folder


class Inline:
    """An engine in this process."""

    def run(self, batches: Iterator[str]) -> Iterator[str]:
        yield from map(api.examine_batch, batches)


@pytest.fixture(scope="module")
def undisturbed(tree: Path) -> Path:
    out = tree.with_name("undisturbed.db")
    api.audit([tree], out=out, engine=Inline())
    return out


def command(tree: Path, out: Path) -> list[str]:
    return [sys.executable, "-m", "ckpt_tools", "audit", "run", str(tree), "--out", str(out)]


def number_of_rows(out: Path) -> int:
    with suppress(sqlite3.Error), closing(sqlite3.connect(f"file:{out}?mode=ro", uri=True)) as file:
        return int(file.execute("SELECT count(*) FROM checkpoints").fetchone()[0])
    return 0


def test_an_audit_that_is_killed_goes_on_where_it_stopped(
    tree: Path, undisturbed: Path, tmp_path: Path
) -> None:
    out = tmp_path / "audit.db"
    process = subprocess.Popen([*command(tree, out), "--jobs", "1"], start_new_session=True)
    while not number_of_rows(out) and process.poll() is None:
        time.sleep(0.02)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    done = number_of_rows(out)
    assert 0 < done < 128
    assert done % 32 == 0, "a batch is half there"
    tally = api.audit([tree], out=out, engine=Inline())
    assert tally.unchanged == done
    assert tally.checked == 128 - done
    assert_same(out, undisturbed)


def test_an_audit_that_was_killed_before_its_relations_has_them_later(
    tree: Path, undisturbed: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "audit.db"
    with monkeypatch.context() as patch:
        patch.setattr("ckpt_tools.audit.run.relate", lambda _: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            api.audit([tree], out=out, engine=Inline())
    assert rows(out)["relations"] == []
    assert api.audit([tree], out=out, engine=Inline()).unchanged == 128
    assert_same(out, undisturbed)


def test_a_checkpoint_that_kills_its_worker_is_a_row(
    tree: Path, undisturbed: Path, tmp_path: Path
) -> None:
    deadly = Path(shutil.copytree(FIXTURES / "language-model", tree / "deadly"))
    try:
        out = tmp_path / "audit.db"
        engine = LocalEngine(2, [sys.executable, "-c", WORKER])
        tally = api.audit([tree], out=out, engine=engine)
        assert (tally.failed, tally.checked) == (1, 128)
        (row,) = [row for row in rows(out)["checkpoints"] if row[6] == "failed"]
        assert row[0] == str(deadly)
        assert row[7] == (
            "its check ended the worker (killed; perhaps the machine has not enough memory)"
        )
    finally:
        shutil.rmtree(deadly)
    assert api.audit([tree], out=out, engine=Inline()).vanished == 1
    with closing(sqlite3.connect(out)) as file:
        file.execute("DELETE FROM checkpoints WHERE status = 'vanished'")
        file.execute("DELETE FROM files WHERE checkpoint NOT IN (SELECT id FROM checkpoints)")
        file.commit()
    assert_same(out, undisturbed)


def test_a_worker_that_waits_for_the_hub_says_so(tree: Path, tmp_path: Path) -> None:
    worker = WORKER.replace(
        "print(api.examine_batch(line), flush=True)",
        "print('wait 31', flush=True); print(api.examine_batch(line), flush=True)",
    )
    said: list[float] = []
    engine = LocalEngine(1, [sys.executable, "-c", worker], said.append)
    tally = api.audit([tree / "00"], out=tmp_path / "audit.db", engine=engine)
    assert (tally.checked, tally.failed, said) == (8, 0, [31.0])


def test_a_worker_that_is_killed_from_outside_is_replaced(
    tree: Path, undisturbed: Path, tmp_path: Path
) -> None:
    once = tmp_path / "once"
    worker = WORKER.replace(
        'if "deadly" in line:', f'if "model-070" in line and not os.path.exists("{once}"):'
    ).replace("os.kill(", f'open("{once}", "w").close()\n        os.kill(', 1)
    out = tmp_path / "audit.db"
    engine = LocalEngine(2, [sys.executable, "-c", worker])
    assert api.audit([tree], out=out, engine=engine).failed == 0
    assert once.exists()
    assert_same(out, undisturbed)


def test_a_full_disk_ends_in_a_sentence(tree: Path, tmp_path: Path) -> None:
    """A limit on the size of files stands for it: SQLite gets the error in the same place."""
    line = 'ulimit -f 500; exec "$@"'
    done = subprocess.run(
        ["sh", "-c", line, "sh", *command(tree, tmp_path / "audit.db")],
        check=False,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 2, done
    assert done.stdout == ""
    assert done.stderr.startswith(f"ckpt: {tmp_path}/audit.db: cannot be ")
    assert done.stderr.count("\n") == 1
    written = number_of_rows(tmp_path / "audit.db")
    assert written < 128
    assert written % 32 == 0
