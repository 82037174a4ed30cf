"""A write that is killed, cut off from power, refused or interrupted at any of its system calls.

quick      calls wrapped in Python (write_faults.py): every call of a few writes torture    the same
by strace, on real files, and recovery that is killed itself: with CKPT_TORTURE=1, or `make torture`

Always: after `recover` the folder is entirely the old one or entirely the new one with its backup,
and nothing else is left; new where success was told; old where a failure was told, without anything
to recover, except where the failure says that the change is committed.
"""

from __future__ import annotations

import json
import os
import pickle
import re
import shutil
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import pytest

from ckpt_tools.edit.journal import recover
from tests.support import plans, write_order
from tests.support.write_faults import LIMIT, Job, Outcome, difference, snapshot

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from ckpt_tools.edit.model import Plan

FAULTS = Path(__file__).parent.parent / "support" / "write_faults.py"
ENVIRONMENT = os.environ | {"OPENBLAS_NUM_THREADS": "1", "PYTHONDONTWRITEBYTECODE": "1"}
torture = pytest.mark.skipif("CKPT_TORTURE" not in os.environ, reason="takes minutes: make torture")

ACTS = ("new", "place", "drop")
MAKERS = {"rewriting": plans.rewriting, "merging": plans.merging, "dropping": plans.dropping}
KILLS = ("kill", "tear", "power")
ERRORS = (
    "EIO",
    "ENOSPC",
    "ENOSPC+",
    "EDQUOT+",
    "EACCES",
    "EPERM",
    "EROFS",
    "EXDEV",
    "EMLINK",
    "EINTR",
    "EINVAL",
    "ENOSYS",
    "ask-EIO",
    "ask-EACCES",
)

TOLD = {
    "Unwritable",
    "NoSpace",
    "Unreadable",
    "PathNotFound",
    "PlanStale",
    "ChangedDuringRead",
    "WrittenWrong",
    "OutputExists",
    "NotAFile",
}


class World(NamedTuple):
    """A checkpoint, a plan for it, and copies of both to begin again with."""

    job: Job
    reference: Path

    def ask(self, **changes: Any) -> Any:
        """Run write_faults.py and return its answer."""
        job = self.job._replace(**changes)
        command = [sys.executable, "-W", "ignore", str(FAULTS), json.dumps(job._asdict())]
        done = subprocess.run(command, capture_output=True, text=True, check=False, env=ENVIRONMENT)
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    def outcomes(self, act: str, fault: str, **changes: Any) -> list[Outcome]:
        """Return what became of a writer that was let down at each call in turn."""
        found = [Outcome(*outcome) for outcome in self.ask(act=act, fault=fault, **changes)]
        assert found
        return found


@pytest.fixture
def fast(tmp_path: Path) -> Iterator[Path]:
    """A folder in memory where there is one: a disk takes its time for an fsync."""
    memory = Path("/dev/shm")  # noqa: S108 - removed below
    folder = memory / f"ckpt-{os.getpid()}" if os.access(memory, os.W_OK) else tmp_path
    folder.mkdir(exist_ok=True)
    yield folder
    if folder != tmp_path:
        shutil.rmtree(folder)


def build(folder: Path, maker: Callable[[Path, Path], Plan]) -> World:
    """Make a world in `folder`."""
    old = plans.sharded(folder / "world" / "in")
    plan = maker(old, folder / "ref")
    (folder / "plan").write_bytes(pickle.dumps(plan))
    shutil.copytree(folder / "world", folder / "pristine", symlinks=True)
    return World(
        Job(
            plan=str(folder / "plan"),
            pristine=str(folder / "pristine"),
            world=str(folder / "world"),
            act="",
            fault="",
        ),
        folder / "ref",
    )


def check(outcomes: list[Outcome], act: str) -> None:
    """Assert what must hold whatever goes wrong."""
    for outcome in outcomes:
        what = f"{act}: {outcome}"
        assert outcome.state in {"old", "new"}, what
        if outcome.ended == "done":
            assert outcome.state == "new", what
        elif outcome.ended == "killed":
            assert (outcome.recovered, outcome.state) in {
                ("finished", "new"),
                ("undone", "old"),
                ("nothing", "old"),
                ("nothing", "new"),
            } or (
                act == "new"
                and outcome.recovered.startswith("PathNotFound")
                and outcome.state == "old"
            ), what
        elif outcome.ended == "WriteInterrupted":
            assert (act, outcome.state) in {
                ("place", "new"),
                ("drop", "new"),
                ("restore", "new"),
            }, what
        elif outcome.ended != "KeyboardInterrupt":
            assert outcome.ended in TOLD, what
            assert outcome.state == "old", what


@pytest.mark.parametrize(
    ("act", "fault"), [("new", "power"), ("place", "power"), ("drop", "power"), ("place", "tear")]
)
def test_a_writer_killed_at_any_call_leaves_the_old_or_the_new(
    act: str, fault: str, fast: Path
) -> None:
    found = build(fast, plans.rewriting).outcomes(act, fault)
    check(found, act)
    assert "killed" in {outcome.ended for outcome in found}
    assert {outcome.state for outcome in found} == {"old", "new"}


@pytest.mark.parametrize(
    ("act", "fault"),
    [
        ("new", "EIO"),
        ("place", "EIO"),
        ("new", "ENOSPC+"),
        ("place", "ENOSPC+"),
        ("drop", "EXDEV"),
        ("place", "ask-EIO"),
    ],
)
def test_a_failing_call_leaves_the_old_unless_the_change_was_committed(
    act: str, fault: str, fast: Path
) -> None:
    check(build(fast, plans.rewriting).outcomes(act, fault, step=2), act)


@pytest.mark.parametrize("act", ["new", "place"])
def test_ctrl_c_at_any_call_leaves_the_old_or_the_new_and_nothing_to_recover(
    act: str, fast: Path
) -> None:
    found = build(fast, plans.merging).outcomes(act, "interrupt", step=2)
    check(found, act)
    assert {(outcome.ended, outcome.recovered) for outcome in found} == {("KeyboardInterrupt", "")}


@pytest.mark.parametrize("act", ACTS)
def test_writes_that_do_less_than_asked_are_continued(act: str, fast: Path) -> None:
    (found,) = build(fast, plans.rewriting).outcomes(act, "short", step=LIMIT)
    assert (found.ended, found.state) == ("done", "new")


@pytest.mark.parametrize("maker", MAKERS)
@pytest.mark.parametrize("act", ACTS)
def test_nothing_has_a_name_before_it_is_on_the_disk_and_no_step_overtakes_another(
    act: str, maker: str, fast: Path
) -> None:
    world = build(fast, MAKERS[maker])
    calls = [
        write_order.Call(name, tuple(paths))
        for name, paths in world.ask(act=act, fault="log")
        if name != "flock"
    ]
    assert len(calls) > 20
    assert list(write_order.faults(calls, world.job.world)) == []


@pytest.mark.parametrize(("fault", "step"), [("power", 1), ("tear", 2), ("EIO", 2), ("ENOSPC+", 3)])
def test_a_restore_let_down_at_any_call_leaves_the_change_or_undoes_it(
    fault: str, step: int, fast: Path
) -> None:
    found = build(fast, plans.rewriting).outcomes("restore", fault, step=step)
    check(found, "restore")
    assert {outcome.state for outcome in found} == {"old", "new"}


def test_the_steps_of_a_restore_do_not_overtake_each_other(fast: Path) -> None:
    world = build(fast, plans.merging)
    calls = [
        write_order.Call(name, tuple(paths))
        for name, paths in world.ask(act="restore", fault="log")
        if name != "flock"
    ]
    assert list(write_order.faults(calls, world.job.world)) == []


def test_recovery_killed_at_any_call_can_be_recovered_from(fast: Path) -> None:
    world = build(fast, plans.dropping)
    committed = next(
        outcome.number
        for outcome in world.outcomes("place", "kill", step=3)
        if outcome.recovered == "finished"
    )
    found = world.outcomes("recover", "power", first=committed)
    assert {outcome.ended for outcome in found} == {"killed"}
    assert {outcome.state for outcome in found} == {"new"}


# --- torture --------------------------------------------------------------------------------------


def report(what: str, outcomes: list[Outcome]) -> None:
    """Print what was tried and how it ended, for docs/reliability.md."""
    counts = Counter(
        f"{outcome.ended} then {outcome.recovered or 'nothing to do'}: {outcome.state}"
        for outcome in outcomes
    )
    print(  # noqa: T201 - pytest -rP shows it
        f"{what}: {len(outcomes)} runs:"
        f" {'; '.join(f'{count} {how}' for how, count in counts.most_common())}"
    )


@torture
@pytest.mark.parametrize("maker", MAKERS)
@pytest.mark.parametrize("act", ACTS)
@pytest.mark.parametrize("fault", [*KILLS, *ERRORS, "interrupt"])
def test_torture_every_fault_at_every_call(fault: str, act: str, maker: str, fast: Path) -> None:
    found = build(fast, MAKERS[maker]).outcomes(act, fault)
    report(f"{maker} {act} {fault}", found)
    check(found, act)


@torture
@pytest.mark.parametrize("maker", MAKERS)
def test_torture_recovery_is_killed_at_every_call_after_every_kill(maker: str, fast: Path) -> None:
    world = build(fast, MAKERS[maker])
    for kill in world.outcomes("place", "kill"):
        if kill.recovered != "nothing":
            found = world.outcomes("recover", "power", first=kill.number)
            assert {outcome.state for outcome in found} == {kill.state}, kill
            report(f"{maker} recovery after a kill at call {kill.number}", found)


# --- strace: real calls, of a real process, on a real file system ---------------------------------

_CHANGING = (
    "openat,creat,write,pwrite64,copy_file_range,sendfile,fsync,fdatasync,"
    "rename,renameat,renameat2,link,linkat,symlink,symlinkat,unlink,unlinkat,"
    "mkdir,mkdirat,rmdir,chmod,fchmod,fchmodat,fchown"
)
_ASKING = "pread64,preadv,newfstatat,statfs,getdents64,readlink"
_LINE = re.compile(r"^\d+ +(?P<name>\w+)\((?P<arguments>.*)\) += (?P<result>-?\d+|\?)(?P<rest>.*)$")
_NAMED = {
    "pwrite64": "pwrite",
    "linkat": "link",
    "renameat": "rename",
    "renameat2": "rename",
    "symlinkat": "symlink",
    "unlinkat": "unlink",
    "mkdirat": "mkdir",
}
_RESULTS = {"new": "out", "place": "in", "drop": "in"}


def strace(world: World, act: str, *options: str) -> str:
    """Run the writer under strace and return what it printed."""
    assert shutil.which("strace"), (
        "this test needs strace, a Debian package: apt-get install strace"
    )
    shutil.rmtree(world.job.world)
    shutil.copytree(world.job.pristine, world.job.world, symlinks=True)
    job = world.job._replace(act=act, fault="once")
    interpreter = str(Path(sys.executable).resolve())
    environment = ENVIRONMENT | {"PYTHONPATH": os.pathsep.join(sys.path)}
    command = [
        "strace",
        "-f",
        "-qq",
        "-y",
        *options,
        interpreter,
        "-W",
        "ignore",
        str(FAULTS),
        json.dumps(job._asdict()),
    ]
    return subprocess.run(
        command, capture_output=True, text=True, check=False, env=environment
    ).stdout


def calls(log: Path, world: str) -> Iterator[tuple[str, int, re.Match[str]]]:
    """Yield (name, which of its name it is, the line) of each call that concerns the world."""
    seen: Counter[str] = Counter()
    for line in log.read_text(errors="replace").splitlines():
        match = _LINE.match(line)
        if match:
            seen[match["name"]] += 1
            if world in line:
                yield match["name"], seen[match["name"]], match


def translated(log: Path, world: str) -> Iterator[write_order.Call]:
    """Yield what `order` wants to know of a log."""
    for name, _, match in calls(log, world):
        found = tuple(re.findall(rf"[\"<]({re.escape(world)}[^\">]*)[\">]", match["arguments"]))
        if match["result"].startswith("-") or not found or name not in _CHANGING.split(","):
            continue
        if name == "openat" and "O_CREAT" not in match["arguments"]:
            continue
        if name == "sendfile":
            found = found[::-1]
        yield write_order.Call(
            "rmdir" if "AT_REMOVEDIR" in match["arguments"] else _NAMED.get(name, name),
            found if name != "symlink" else found[-1:],
        )


@torture
@pytest.mark.parametrize("maker", MAKERS)
@pytest.mark.parametrize("act", ACTS)
def test_torture_the_order_of_system_calls_as_the_kernel_sees_them(
    act: str, maker: str, tmp_path: Path
) -> None:
    world = build(tmp_path, MAKERS[maker])
    assert strace(world, act, "-o", str(tmp_path / "log"), "-e", f"trace={_CHANGING}") == '"done"\n'
    found = list(translated(tmp_path / "log", world.job.world))
    assert sum(call.name == "fsync" for call in found) > 8
    assert list(write_order.faults(found, world.job.world)) == []


@torture
@pytest.mark.parametrize("act", ACTS)
@pytest.mark.parametrize("inject", ["signal=KILL", "error=ENOSPC", "error=EIO", "error=EINTR"])
def test_torture_every_system_call_that_touches_the_folder(
    inject: str, act: str, tmp_path: Path
) -> None:
    world = build(tmp_path, plans.rewriting)
    strace(world, act, "-o", str(tmp_path / "log"), "-e", f"trace={_CHANGING},{_ASKING}")
    new, old = snapshot(Path(world.job.world)), snapshot(Path(world.job.pristine))
    places = [
        (name, number)
        for name, number, _ in calls(tmp_path / "log", world.job.world)
        if suits(inject, name)
    ]
    found = []
    for name, number in places:
        printed = strace(
            world,
            act,
            "-o",
            os.devnull,
            "-e",
            f"trace={name}",
            "-e",
            f"inject={name}:{inject}:when={number}",
        )
        try:
            recovered = recover(f"{world.job.world}/{_RESULTS[act]}")
        except Exception as error:  # noqa: BLE001 - whatever it is goes into the report
            recovered = repr(error)
        now = snapshot(Path(world.job.world))
        state = "old" if now == old else "new" if now == new else difference(now, old, new)
        found.append(
            Outcome(number, name, "done" if "done" in printed else "let down", recovered, state)
        )
    report(f"strace {act} {inject}", found)
    assert found
    for outcome in found:
        assert outcome.state == "new" or (outcome.state == "old" and outcome.ended != "done"), (
            outcome
        )


def suits(inject: str, name: str) -> bool:
    """Whether it is worth it: a kill at a call that only asks is one at the next that changes."""
    return name in _CHANGING.split(",") or inject == "error=EIO"
