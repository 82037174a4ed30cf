"""Audits on a real Slurm of one node and a Ray cluster of two: with CKPT_FLEET=1 (`make fleet`).

One worker is killed in the middle, one task is preempted; the rows equal those of the local engine.
"""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import threading
import time
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from ckpt_tools import api
from ckpt_tools.audit.engines.folder import WorkFolder
from ckpt_tools.audit.engines.ray import RayLauncher
from ckpt_tools.audit.engines.slurm import SlurmLauncher
from ckpt_tools.audit.engines.tasks import TaskEngine
from tests.support.fleet import assert_same, make_tree

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

pytestmark = [
    pytest.mark.skipif("CKPT_FLEET" not in os.environ, reason="needs a cluster: make fleet"),
    # Ray 2.50's test cluster leaves files open, which are found at any time after it.
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]

SCRIPT = Path(__file__).parents[2] / "tools" / "one_node_slurm.sh"
_SECONDS = 120.0


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_tree(tmp_path_factory.mktemp("tree"), 12)


@pytest.fixture(scope="module")
def local(tree: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("local") / "audit.db"
    api.audit([tree], out=out, values=True)
    return out


@pytest.fixture(scope="module")
def slurm(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    # A socket's path has at most 107 characters.
    folder = tmp_path_factory.mktemp("slurm")
    subprocess.run((SCRIPT, "start", folder), check=True)
    try:
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("SLURM_CONF", f"{folder}/slurm.conf")
            yield
    finally:
        subprocess.run((SCRIPT, "stop", folder), check=True)


@pytest.fixture(scope="module")
def cluster() -> Iterator[Any]:
    from ray.cluster_utils import Cluster  # noqa: PLC0415 - not needed by other tests

    found = Cluster(initialize_head=True, head_node_args={"num_cpus": 1, **ports()})
    found.add_node(num_cpus=1, **ports())
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RAY_ADDRESS", found.address)
        yield found
    found.shutdown()


def ports() -> dict[str, int]:
    """Free ports for what else would have to report its own within 15 seconds, however busy."""
    names = (
        *("metrics_agent_port", "metrics_export_port", "runtime_env_agent_port"),
        "dashboard_agent_listen_port",
    )
    with ExitStack() as stack:
        sockets = [stack.enter_context(socket.create_server(("", 0))) for _ in names]
        return {name: one.getsockname()[1] for name, one in zip(names, sockets, strict=True)}


def commands() -> Iterator[tuple[int, str]]:
    """Yield (process, command) of every process."""
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                command = (entry / "cmdline").read_bytes()
            except OSError:
                continue
            yield int(entry.name), command.replace(b"\0", b" ").decode("utf-8", "replace")


def descends_from(process: int, ancestor: int) -> bool:
    while process > 1:
        if process == ancestor:
            return True
        try:
            fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
        except OSError:
            return False
        process = int(fields[1])
    return False


def once_in_the_middle(folder: Path, act: Callable[[], bool]) -> threading.Thread:
    """Start a thread that acts once, when a result is there, until `act` could."""

    def wait() -> None:
        end = time.monotonic() + _SECONDS
        while time.monotonic() < end:
            if any((folder / "started").glob("*")) and act():
                return
            time.sleep(0.01)

    thread = threading.Thread(target=wait)
    thread.start()
    return thread


def test_slurm_with_a_killed_and_a_preempted_worker(
    slurm: None, tree: Path, local: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    del slurm
    monkeypatch.setattr("ckpt_tools.audit.run.BATCH", 4)
    work = tmp_path / "work"
    killed: list[int] = []
    preempted: list[str] = []

    def kill() -> bool:
        for process, command in commands():
            if f"audit work {work}" in command and "python" in command.partition(" ")[0]:
                os.kill(process, signal.SIGKILL)
                killed.append(process)
                return True
        return False

    def preempt() -> bool:
        listed = subprocess.run(
            ("squeue", "--noheader", "--array", "--states=RUNNING", "--format=%i"),
            capture_output=True,
            text=True,
            check=True,
        )
        if not killed or not listed.stdout.split():
            return False
        job = listed.stdout.split()[0]
        subprocess.run(("scontrol", "requeue", job), check=True)
        # Slurm holds what it requeues back for two minutes; it accepts this until the task runs.
        sooner = ("scontrol", "update", f"JobId={job}", "StartTime=now")
        while not subprocess.run(sooner, capture_output=True, check=False).returncode:
            time.sleep(0.5)
        preempted.append(job)
        return True

    folder = WorkFolder(str(work))
    engine = TaskEngine(folder, SlurmLauncher(folder, 2), tasks=4, batches=4)
    threads = [once_in_the_middle(work, act) for act in (kill, preempt)]
    api.audit([tree], out=tmp_path / "audit.db", values=True, engine=engine)
    for thread in threads:
        thread.join()
    assert killed
    assert preempted
    assert_same(tmp_path / "audit.db", local)


def test_ray_with_a_killed_worker(
    cluster: Any, tree: Path, local: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ckpt_tools.audit.run.BATCH", 4)
    work = tmp_path / "work"
    killed: list[int] = []

    def kill() -> bool:
        for process, command in commands():
            if command.startswith("ray::_work") and descends_from(process, os.getpid()):
                os.kill(process, signal.SIGKILL)
                killed.append(process)
                return True
        return False

    folder = WorkFolder(str(work))
    launcher = RayLauncher(folder, api.examine_batch)
    assert launcher.processors == 2
    assert len(cluster.list_all_nodes()) == 2
    engine = TaskEngine(folder, launcher, tasks=4, batches=1)
    thread = once_in_the_middle(work, kill)
    api.audit([tree], out=tmp_path / "audit.db", values=True, engine=engine)
    thread.join()
    assert killed
    assert_same(tmp_path / "audit.db", local)


def test_the_command_runs_on_both(
    slurm: None, cluster: Any, tree: Path, local: Path, tmp_path: Path
) -> None:
    del slurm, cluster
    for engine in ("slurm", "ray"):
        out = tmp_path / f"{engine}.db"
        command = (sys.executable, "-m", "ckpt_tools", "audit", "run", tree, "--out", out)
        options = ("--values", "--engine", engine, "--work", tmp_path / engine, "--jobs", "2")
        done = subprocess.run((*command, *options), capture_output=True, text=True, check=False)
        assert done.returncode == 1, done.stderr
        assert_same(out, local)
