"""Steps of the example: a result is complete or absent, whatever interrupts, and made once."""

from __future__ import annotations

import fcntl
import os
import signal
from importlib import import_module
from pathlib import Path

import pytest


def make(work: Path) -> Path:
    """Write a result in two pieces, each of which an earlier try may have left."""
    for piece in ("a", "b"):
        if not (work / piece).exists():
            (work / piece).write_text(str(os.getpid()))
    result = work / "result"
    result.mkdir()
    for piece in ("a", "b"):
        (result / piece).write_text((work / piece).read_text())
    return result


def test_makes_each_result_once_and_after_what_it_reads(tmp_path: Path) -> None:
    steps = import_module("steps")
    plan = [steps.Step("second/part", make, ("first",)), steps.Step("first", make)]
    assert [step.name for step in steps.complete(tmp_path, plan)] == ["first", "second/part"]
    assert list(steps.complete(tmp_path, plan)) == []
    assert (tmp_path / "second/part/b").exists()


def test_a_killed_step_leaves_no_result_and_continues(tmp_path: Path) -> None:
    steps = import_module("steps")

    def interrupted(work: Path) -> Path:
        (work / "a").write_text("from before")
        os.kill(os.getpid(), signal.SIGKILL)
        return work

    child = os.fork()
    if child == 0:
        list(steps.complete(tmp_path, [steps.Step("first", interrupted)]))
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == -signal.SIGKILL
    assert not (tmp_path / "first").exists()
    assert len(list(steps.complete(tmp_path, [steps.Step("first", make)]))) == 1
    assert (tmp_path / "first/a").read_text() == "from before"
    assert not (tmp_path / "unfinished/first").exists()


def test_a_failing_step_is_tried_again(tmp_path: Path) -> None:
    steps = import_module("steps")

    def fail(work: Path) -> Path:
        raise OSError(work)

    with pytest.raises(OSError, match="unfinished"):
        list(steps.complete(tmp_path, [steps.Step("first", fail)]))
    assert len(list(steps.complete(tmp_path, [steps.Step("first", make)]))) == 1


def test_a_step_of_another_process_is_left_to_it(tmp_path: Path) -> None:
    steps = import_module("steps")
    (tmp_path / "unfinished").mkdir()
    with (tmp_path / "unfinished/first.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        made = steps.complete(tmp_path, [steps.Step("first", make), steps.Step("second", make)])
        assert next(made).name == "second"
    assert next(made).name == "first"
