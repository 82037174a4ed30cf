"""Steps of a long computation, each with one result that is complete or absent.

A step works in a folder of its own and moves its result to its place when it is done. Nothing else
writes there, so an interruption at any time, even kill -9, loses at most the step in progress, and
a step may keep what it needs to continue. Several processes can share the steps of one folder.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

UNFINISHED = "unfinished"


@dataclass(frozen=True)
class Step:
    """`make` gets a folder to work in, which may have files of an interrupted try.

    It returns the file or folder that becomes the result, `name`. `after` are the results it reads.
    """

    name: str
    make: Callable[[Path], Path]
    after: tuple[str, ...] = ()


def complete(out: Path, steps: Sequence[Step]) -> Iterator[Step]:
    """Make the first result that is missing in `out`, yield its step, and go on until none is.

    A step that another process works on is left to it, and waited for only when nothing else
    remains to be done.
    """
    while missing := [step for step in steps if not (out / step.name).exists()]:
        ready = [step for step in missing if all((out / name).exists() for name in step.after)]
        number = f"{len(steps) - len(missing) + 1} of {len(steps)}"
        done = next((step for step in ready if _attempt(out, step, number, wait=False)), None)
        if done is None:
            done = ready[0]
            _say(f"waiting for another process: {done.name}")
            _attempt(out, done, number, wait=True)
        yield done


def _attempt(out: Path, step: Step, number: str, *, wait: bool) -> bool:
    """Make a result. False when another process works on it."""
    work = out / UNFINISHED / step.name
    work.parent.mkdir(parents=True, exist_ok=True)
    with work.with_name(f"{work.name}.lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
        except BlockingIOError:
            return False
        if not (out / step.name).exists():  # another process may just have made it
            _make(out, step, number, work)
    return True


def _make(out: Path, step: Step, number: str, work: Path) -> None:
    started = time.monotonic()
    _say(f"{number}: {step.name}{' (continued)' if work.exists() else ''}")
    work.mkdir(exist_ok=True)
    result = step.make(work)
    (out / step.name).parent.mkdir(parents=True, exist_ok=True)
    os.replace(result, out / step.name)
    shutil.rmtree(work)
    print(f"         done in {time.monotonic() - started:.0f} s", flush=True)


def _say(text: str) -> None:
    print(f"{time.strftime('%H:%M:%S')} {text}", flush=True)
