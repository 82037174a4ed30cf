"""Run `ckpt` in a process of its own, and check what it leaves behind."""

from __future__ import annotations

import hashlib
import stat
from typing import TYPE_CHECKING, NamedTuple

from tests.support import forked

if TYPE_CHECKING:
    import os
    from pathlib import Path


class Outcome(NamedTuple):
    """What a command left behind."""

    code: int
    stdout: str
    stderr: str


def ckpt(*arguments: str | bytes | os.PathLike[str]) -> Outcome:
    """Return what `ckpt` does with `arguments`, in a process with an empty standard input."""
    done = forked.ckpt(*arguments)
    return Outcome(done.returncode, done.stdout, done.stderr)


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
