"""Runs a writer again and again and lets it down at each of its system calls in turn.

Says what was there afterwards. A script: see `Job`.

The writer runs in a fork of this process, its calls wrapped in Python, so that a run takes
milliseconds and no tool. `test_faults.py` has the same done by strace where CKPT_TORTURE is set.
"""

from __future__ import annotations

import errno
import fcntl
import importlib
import json
import os
import pickle
import re
import shutil
import signal
import stat
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

DATA = ("write", "pwrite", "copy_file_range", "sendfile")
NAMES = ("open", "mkdir", "rename", "replace", "link", "symlink", "unlink", "rmdir", "chmod")
CALLS = (*DATA, *NAMES, "fchmod", "fchown", "fsync", "flock")
ASKING = ("stat", "lstat", "listdir", "scandir", "readlink", "statvfs", "preadv", "pread")
"""Calls that change nothing, and whose failure must not be taken for an answer."""

GROWING = (*DATA, "open", "mkdir", "rename", "replace", "link", "symlink")
"""Calls that a full disk refuses."""

LIMIT = 5000

RECORD = ".ckpt-backup.json"


class Job(NamedTuple):
    """What to do: `act` ("new", "place", "drop".

    In place without a backup, "recover", "restore" after a change in place) on a copy of `pristine`
    at `world`, by the pickled `plan`.

    `fault` is one of "once"       nothing goes wrong, in this process; prints "done" "hold"
    prints "holding" and stops for good while it writes "log"        nothing goes wrong; prints the
    calls "kill"       before the call; "tear": when it has done half; "power": before the call, and
    what was not brought to the disk is lost "interrupt"  Ctrl-C "short"      every write does a
    third an errno     that one call; with a + every growing call from there on; with ask- before it
    one call that only asks

    `first` says at which call a write in place was killed before `recover`. Every `step`-th call is
    let down. Prints outcomes.
    """

    plan: str
    pristine: str
    world: str
    act: str
    fault: str
    first: int = 0
    step: int = 1


class Outcome(NamedTuple):
    """What became of one run.

    The call that failed, how the writer ended, what `recover` said, and the state: "old", "new", or
    what is neither.
    """

    number: int
    call: str
    ended: str
    recovered: str
    state: str


class Injector:
    """Wraps the calls of `os`, counts them, and lets down the one whose number is `number`."""

    def __init__(self, fault: str, number: int) -> None:
        self.fault = fault
        self.number = number
        self.count = 0
        self.log: list[tuple[str, list[str]]] = []
        self.unsynced: set[str] = set()
        self.pipe = -1

    def install(self) -> None:
        for name in ASKING if self.fault.startswith("ask-") else CALLS:
            module = fcntl if name == "flock" else os
            setattr(module, name, self.wrapped(name, getattr(module, name)))

    def wrapped(self, name: str, original: Callable[..., Any]) -> Callable[..., Any]:
        def call(*args: Any, **named: Any) -> Any:
            if name == "open" and not args[1] & os.O_CREAT:
                return original(*args, **named)
            self.count += 1
            concerned = paths(name, args) if name not in ASKING else [str(args[0])]
            if self.fault == "short" and name in DATA:
                return original(*shortened(name, args, 3), **named)
            if self.count == self.number or (
                self.fault.endswith("+") and self.count > self.number and name in GROWING
            ):
                self.let_down(
                    name, args, concerned, lambda *changed: original(*(changed or args), **named)
                )
            result = original(*args, **named)
            self.remember(name, concerned)
            return result

        return call

    def remember(self, name: str, concerned: list[str]) -> None:
        """Keep track of what was done, and of what a power cut would lose."""
        if self.fault == "log":
            self.log.append((name, concerned))
        if name in DATA:
            self.unsynced.add(concerned[-1])
        elif name == "fsync":
            self.unsynced.discard(concerned[0])
        elif name in {"rename", "replace", "link"}:
            old, new = concerned
            self.unsynced |= {
                new + path[len(old) :]
                for path in self.unsynced
                if path == old or path.startswith(old + "/")
            }

    def let_down(
        self, name: str, args: tuple[Any, ...], concerned: list[str], do: Callable[..., Any]
    ) -> None:
        if self.pipe >= 0:
            with open(self.pipe, "w", closefd=False) as pipe:
                pipe.write(f"{name} {' '.join(concerned)}\n")
            self.pipe = -1
        if self.fault == "tear":
            do(*shortened(name, args, 2)) if name in DATA else do()
        if self.fault == "power":
            for path in filter(os.path.exists, self.unsynced):
                os.truncate(path, os.stat(path).st_size // 2)
        if self.fault in {"kill", "tear", "power"}:
            os.kill(os.getpid(), signal.SIGKILL)
        elif self.fault == "interrupt":
            signal.raise_signal(signal.SIGINT)
        elif self.fault.removeprefix("ask-").rstrip("+").startswith("E"):
            number = getattr(errno, self.fault.removeprefix("ask-").rstrip("+"))
            raise OSError(number, os.strerror(number))


def shortened(name: str, args: tuple[Any, ...], divisor: int) -> tuple[Any, ...]:
    """Return the arguments of a call that does only a part, at least one byte."""
    place = {"write": 1, "pwrite": 1, "copy_file_range": 2, "sendfile": 3}[name]
    size = max(1, (len(args[place]) if place == 1 else args[place]) // divisor)
    return (*args[:place], args[place][:size] if place == 1 else size, *args[place + 1 :])


def paths(name: str, args: tuple[Any, ...]) -> list[str]:
    """Return the paths that a call concerns, the one that changes last."""
    if name in {"rename", "replace", "link"}:
        return [str(Path.cwd() / args[0]), str(Path.cwd() / args[1])]
    place = {"symlink": 1, "copy_file_range": 1}.get(name, 0)
    return [
        str(Path.cwd() / args[place])
        if isinstance(args[place], str)
        else str(Path(f"/proc/self/fd/{args[place]}").readlink())
    ]


def act(job: Job, name: str, progress: Callable[[int], None] | None = None) -> object:
    """Do what the job says, in this process."""
    apply, recovery = (
        importlib.import_module("ckpt_tools.edit.apply"),
        importlib.import_module("ckpt_tools.edit.journal"),
    )
    if name == "recover":
        return recovery.recover(f"{job.world}/in")
    if name == "restore":
        return importlib.import_module("ckpt_tools.edit.restore").restore(f"{job.world}/in")
    plan = pickle.loads(Path(job.plan).read_bytes())  # noqa: S301 - the test's own
    if name == "new":
        return apply.write_new(plan, f"{job.world}/out", progress)
    return apply.write_in_place(plan, backup=name == "place", progress=progress)


def run(job: Job, name: str, injector: Injector) -> tuple[str, str, list[Any]]:
    """Do it in a fork; return the call that was let down, how it ended, and the log."""
    reader, injector.pipe = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(reader)
        answer = injector.pipe
        try:
            injector.install()
            act(job, name)
            ended = "done"
        except BaseException as error:  # noqa: BLE001 - whatever it is goes into the report
            ended = (
                type(error).__name__
                if "ckpt_tools" in type(error).__module__ or isinstance(error, KeyboardInterrupt)
                else repr(error)
            )
        with open(answer, "w", closefd=False) as pipe:
            pipe.write(json.dumps([ended, injector.log]))
        os._exit(0)
    os.close(injector.pipe)
    with open(reader) as pipe:
        text = pipe.read()
    os.waitpid(child, 0)
    call, _, answered = text.rpartition("\n")
    ended, log = json.loads(answered) if answered else ("killed", [])
    return call, ended, log


def outcomes(job: Job) -> Iterator[Outcome]:
    """Yield what became of each run, until one ends without having reached its call."""
    old, new = snapshot(Path(job.pristine)), finished(job)
    if job.act == "restore":
        assert new == old
        prepare(job)
        old = snapshot(Path(job.world))
    for number in range(1, LIMIT, job.step):
        prepare(job)
        call, ended, _ = run(job, job.act, Injector(job.fault, number))
        if not call:
            return
        # Also after success: what the writer could not clear away, the next command does.
        recovered = again(job) if ended in {"killed", "WriteInterrupted", "done"} else ""
        found = snapshot(Path(job.world))
        state = "old" if found == old else "new" if found == new else difference(found, old, new)
        yield Outcome(number, call, ended, recovered, state)


def finished(job: Job) -> dict[str, bytes]:
    """Return what is there when all goes well."""
    prepare(job)
    _, ended, _ = run(job, job.act, Injector("", 0))
    if ended != "done":
        sys.exit(f"the writer does not work at all: {ended}")
    return snapshot(Path(job.world))


def prepare(job: Job) -> None:
    """Put the world back as it was, with the times that the plan knows."""
    shutil.rmtree(job.world, ignore_errors=True)
    shutil.copytree(job.pristine, job.world, symlinks=True)
    if job.first:
        run(job, "place", Injector("kill", job.first))
    elif job.act == "restore":
        run(job, "place", Injector("", 0))


def again(job: Job) -> str:
    """Recover, as a person would after a crash."""
    recovery = importlib.import_module("ckpt_tools.edit.journal")
    try:
        return str(recovery.recover(f"{job.world}/{'out' if job.act == 'new' else 'in'}"))
    except Exception as error:  # noqa: BLE001 - whatever it is goes into the report
        return repr(error)


def snapshot(folder: Path) -> dict[str, bytes]:
    """Return every file and folder below `folder`, hidden ones too.

    Its mode and what it holds, or for a link where it leads; of a backup's record all but times.
    """
    found = {}
    for path in sorted(folder.rglob("*")):
        name, mode = (
            str(path.relative_to(folder)),
            f"{stat.S_IMODE(path.lstat().st_mode):o} ".encode(),
        )
        if path.is_symlink():
            found[name] = b"-> " + os.fsencode(path.readlink())
        else:
            found[name + "/" * path.is_dir()] = mode + (held(path) if path.is_file() else b"")
    return found


def held(path: Path) -> bytes:
    """Return the bytes of a file; of the record of a backup all but the times in it."""
    return re.sub(rb"\d{15,}", b"", path.read_bytes()) if path.name == RECORD else path.read_bytes()


def names(folder: Path | str) -> list[str]:
    """Return what a folder lists, sorted; without the record of a backup."""
    return sorted(path.name for path in Path(folder).iterdir() if path.name != RECORD)


def kept(folder: Path | str) -> dict[str, bytes]:
    """Return what a backup has kept: its snapshot without its record."""
    return {name: data for name, data in snapshot(Path(folder)).items() if name != RECORD}


def difference(found: dict[str, bytes], old: dict[str, bytes], new: dict[str, bytes]) -> str:
    """Return in what way a state is neither old nor new."""
    parts = [
        f"{name}: "
        + (
            "old"
            if found.get(name) == old.get(name)
            else "new"
            if found.get(name) == new.get(name)
            else "neither"
        )
        for name in sorted(found.keys() | old.keys() | new.keys())
        if not found.get(name) == old.get(name) == new.get(name)
    ]
    return "mixed: " + ", ".join(parts)


def hold(_: int) -> None:
    """Stop until killed."""
    print("holding", flush=True)  # noqa: T201 - the answer
    signal.pause()


def main() -> None:
    job = Job(**json.loads(sys.argv[1]))
    signal.signal(
        signal.SIGINT, signal.default_int_handler
    )  # a shell lets its background jobs ignore it
    # Loaded once, here, and not in every fork.
    for name in (
        "numpy",
        "ckpt_tools.edit.apply",
        "ckpt_tools.edit.journal",
        "ckpt_tools.edit.restore",
    ):
        importlib.import_module(name)
    if job.fault in {"once", "hold"}:
        act(job, job.act, hold if job.fault == "hold" else None)
        answer: object = "done"
    elif job.fault == "log":
        prepare(job)
        answer = run(job, job.act, Injector("log", 0))[2]
    else:
        answer = list(outcomes(job))
    print(json.dumps(answer))  # noqa: T201 - the answer


if __name__ == "__main__":
    main()
