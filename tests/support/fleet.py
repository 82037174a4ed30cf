"""Audits for the tests of engines: a tree of checkpoints, and the rows of two files to compare."""

from __future__ import annotations

import shutil
import sqlite3
import subprocess
import sys
from contextlib import closing, suppress
from pathlib import Path
from typing import TYPE_CHECKING

from ckpt_tools.audit.engines.folder import WorkFolder, work
from ckpt_tools.audit.engines.tasks import TaskEngine

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

FIXTURES = Path(__file__).parents[2] / "fixtures"

_ROWS = {
    "checkpoints": (
        "SELECT location, source, owner, name, revision, identity, status, reason, kind, family,"
        " errors, warnings, notes, tensors, parameters, bytes, dtypes, structure, payload,"
        " base_model, modified, with_values, rules FROM checkpoints"
    ),
    **{
        table: f"SELECT location, {columns} FROM {table} JOIN checkpoints c ON c.id = checkpoint"  # noqa: S608 - the test's own
        for table, columns in (
            ("files", "path, size, modified_ns, etag, sha256, xet, inode, weights"),
            ("findings", "code, severity, path, subject, what, next"),
            ("coverage", "question, state, detail"),
            ('"tensors"', 'digest, "tensors".bytes, number'),
            ("parts", "title, parts.tensors, parts.bytes, digest"),
            ("evidence", "path, digest"),
        )
    },
    "relations": (
        "SELECT a.location, b.location, r.name, r.kind, share, r.bytes, detail FROM relations r"
        ' JOIN checkpoints a ON a.id = of LEFT JOIN checkpoints b ON b.id = "to"'
    ),
}


def make_tree(folder: Path, copies: int) -> Path:
    """Copy the fixtures that are checkpoints, so many times."""
    for number in range(copies):
        for one in sorted(FIXTURES.iterdir()):
            if one.is_dir() and one.name not in {"templates", "__pycache__"}:
                shutil.copytree(one, folder / f"{number:02}" / one.name)
    return folder


def rows(file: Path) -> dict[str, list[tuple[object, ...]]]:
    """Return every row of an audit by its table, sorted, without numbers and times."""
    with closing(sqlite3.connect(file)) as connection:
        return {
            table: sorted(connection.execute(sql).fetchall(), key=repr)
            for table, sql in _ROWS.items()
        }


def assert_same(file: Path, expected: Path) -> None:
    """Compare two audits row by row."""
    found, known = rows(file), rows(expected)
    for table, there in known.items():
        assert found[table] == there, table
    assert known["findings"]
    assert known["relations"]


class InlineLauncher:
    """Works on tasks one by one in this process, when it is asked which have ended."""

    def __init__(self, folder: WorkFolder, examine: Callable[[str], str]) -> None:
        self.folder = folder
        self.examine = examine
        self.waiting: list[str] = []
        self.submissions: list[int] = []
        self.is_stopped = False

    def start(self, prefix: str, number: int) -> None:
        self.submissions.append(number)
        self.waiting += [f"{prefix}.{position}" for position in range(number)]

    def ended(self) -> Sequence[str]:
        task = self.waiting.pop(0)
        with suppress(Killed):
            work(self.folder, task, self.examine)
        return [task]

    def why(self, task: str) -> str:
        return f"killed in {task}"

    def stop(self) -> None:
        self.is_stopped = True


class Killed(BaseException):
    """What stands for SIGKILL in a worker that runs in the process of the test."""


class ProcessLauncher:
    """Works on tasks in processes of this machine, as a cluster would."""

    def __init__(self, folder: WorkFolder, python: Iterable[str] = (sys.executable,)) -> None:
        self.folder = folder
        self.python = tuple(python)
        self.running: dict[str, subprocess.Popen[bytes]] = {}
        self.codes: list[int] = []

    def start(self, prefix: str, number: int) -> None:
        for position in range(number):
            task = f"{prefix}.{position}"
            command = (*self.python, "-m", "ckpt_tools", "audit", "work", self.folder.root, task)
            self.running[task] = subprocess.Popen(command)

    def ended(self) -> Sequence[str]:
        task, process = next(iter(self.running.items()))
        self.codes.append(process.wait())
        del self.running[task]
        return [task]

    def why(self, task: str) -> str:
        return f"killed in {task}"

    def stop(self) -> None:
        for process in self.running.values():
            process.kill()
            process.wait()


def inline(
    folder: WorkFolder, examine: Callable[[str], str], *, tasks: int = 2, batches: int = 2
) -> tuple[TaskEngine, InlineLauncher]:
    """Return an engine whose workers run in this process, and what starts them."""
    launcher = InlineLauncher(folder, examine)
    return TaskEngine(folder, launcher, tasks=tasks, batches=batches), launcher
