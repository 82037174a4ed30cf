"""Run `ckpt` in a process of its own, and check what it leaves behind."""

from __future__ import annotations

import hashlib
import os
import stat
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

import ckpt_tools

PACKAGE_ROOT = Path(ckpt_tools.__file__).parents[1]
TIMEOUT_S = 120
"""Only a hang takes longer, also on a busy machine."""


class Outcome(NamedTuple):
    """What a command left behind."""

    code: int
    stdout: str
    stderr: str


def ckpt(*arguments: str | bytes | os.PathLike[str]) -> Outcome:
    """Return what `ckpt` does with `arguments`, in a process with an empty standard input."""
    return all_of(arguments)[0]


def all_of(*commands: tuple[str | bytes | os.PathLike[str], ...]) -> list[Outcome]:
    """Return what `ckpt` does with each list of arguments, all at once.

    Every start of Python costs more than what is tested.
    """
    started = [
        subprocess.Popen(
            # -P: the package that these tests imported, not the one in the current folder.
            [sys.executable, "-P", "-m", "ckpt_tools", *arguments],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env={
                **os.environ,
                "PYTHONPATH": str(PACKAGE_ROOT),
                "PYTHONWARNINGS": "error",
                "PYTHONUTF8": "1",
            },
        )
        for arguments in commands
    ]
    try:
        return [outcome_of(process) for process in started]
    finally:
        for process in started:
            process.kill()


def outcome_of(process: subprocess.Popen[bytes]) -> Outcome:
    """Return what `process` leaves behind when it ends, within the time it has."""
    stdout, stderr = process.communicate(timeout=TIMEOUT_S)
    return Outcome(process.returncode, stdout.decode(), stderr.decode())


def listing(folder: Path) -> dict[str, tuple[object, ...]]:
    """Return everything in `folder` with its kind, size, times and content, links not followed."""
    found: dict[str, tuple[object, ...]] = {}
    for path in sorted([folder, *folder.rglob("*")]):
        status = path.lstat()
        regular = stat.S_ISREG(status.st_mode)
        digest = hashlib.blake2b(path.read_bytes()).hexdigest() if regular else ""
        link = str(path.readlink()) if path.is_symlink() else ""
        found[str(path)] = (
            status.st_mode,
            status.st_ino,
            status.st_size,
            status.st_mtime_ns,
            status.st_ctime_ns,
            digest,
            link,
        )
    return found


def assert_one_line(outcome: Outcome, *words: str) -> None:
    """Assert trouble, told on one printable line that holds `words`."""
    assert outcome.code == 2, outcome
    assert outcome.stdout == ""
    assert outcome.stderr.startswith("ckpt: ")
    assert outcome.stderr.endswith("\n")
    line = outcome.stderr[:-1]
    assert line.isprintable(), line
    assert "Traceback" not in line
    assert "; " in line, "nothing says what to do next"
    for word in words:
        assert word in line
