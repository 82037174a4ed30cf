"""The protocol of engines on clusters: batches, results and what is done about killed workers."""

from __future__ import annotations

import sys
from importlib.machinery import PathFinder
from typing import TYPE_CHECKING

import pytest

from ckpt_tools import api
from ckpt_tools.audit.batches import (
    Batch,
    Item,
    Result,
    batch_text,
    parse_batch,
    parse_result,
    result_text,
)
from ckpt_tools.audit.engines.folder import WorkFolder, key_of, work
from ckpt_tools.audit.engines.slurm import SlurmLauncher, slurm_engine
from ckpt_tools.audit.engines.tasks import TaskEngine
from ckpt_tools.audit.model import Options, Record, Status
from ckpt_tools.errors import CkptError, EngineFailed, EngineMissing, UnknownSelection
from tests.support.fleet import Killed, ProcessLauncher, assert_same, inline, make_tree

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


def batches(number: int, items: int = 3) -> Iterator[str]:
    for batch in range(1, number + 1):
        found = tuple(Item(f"/{batch}/{item}", f"/{batch}/{item}") for item in range(items))
        yield batch_text(Batch(batch, Options(), found))


def examined(text: str) -> str:
    batch = parse_batch(text)
    records = (Record(item.location, Status.CHECKED, family="f") for item in batch.items)
    return result_text(Result(batch.number, tuple(records)))


def expected(number: int) -> dict[int, Result]:
    return {one.number: one for one in map(parse_result, map(examined, batches(number)))}


def by_number(results: Iterator[str]) -> dict[int, Result]:
    found = [parse_result(text) for text in results]
    assert len({one.number for one in found}) == len(found)
    return {one.number: one for one in found}


@pytest.fixture(params=("folder", "bucket"))
def folder(request: pytest.FixtureRequest, tmp_path: Path) -> WorkFolder:
    if request.param == "bucket":
        return WorkFolder(f"memory://{tmp_path.name}/work")
    return WorkFolder(str(tmp_path / "shared" / "work"))


def files(folder: WorkFolder) -> dict[str, frozenset[str]]:
    found = {name: folder.names(name) for name in ("batches", "results", "tasks", "started")}
    return {name: names for name, names in found.items() if names}


def test_every_batch_has_its_result_and_the_folder_is_left_empty(folder: WorkFolder) -> None:
    engine, launcher = inline(folder, examined)
    assert by_number(engine.run(batches(11))) == expected(11)
    assert files(folder) == {}
    assert launcher.is_stopped
    assert max(launcher.submissions) <= 2


def test_few_batches_are_taken_ahead(folder: WorkFolder) -> None:
    taken: list[str] = []

    def watched() -> Iterator[str]:
        for one in batches(100):
            taken.append(one)
            yield one

    engine, _ = inline(folder, examined, tasks=2, batches=3)
    results = engine.run(watched())
    next(results)
    assert len(taken) == 6
    results.close()


def test_a_batch_whose_worker_is_killed_once_is_repeated(folder: WorkFolder) -> None:
    killed: list[str] = []

    def dies_once(text: str) -> str:
        if "/3/0" in text and not killed:
            killed.append(text)
            raise Killed
        return examined(text)

    engine, _ = inline(folder, dies_once)
    assert by_number(engine.run(batches(5))) == expected(5)
    assert killed


def test_an_item_that_always_ends_its_worker_is_given_up_and_no_other(folder: WorkFolder) -> None:
    def dies(text: str) -> str:
        if "/3/1" in text:
            raise Killed
        return examined(text)

    engine, _ = inline(folder, dies)
    found = by_number(engine.run(batches(5)))
    (failed,) = (
        one for result in found.values() for one in result.records if one.status is Status.FAILED
    )
    assert failed.location == "/3/1"
    assert failed.reason.startswith("its check ended the worker (killed in ")
    assert [one.location for one in found[3].records] == ["/3/0", "/3/1", "/3/2"]
    assert {n: one for n, one in found.items() if n != 3} == {
        n: one for n, one in expected(5).items() if n != 3
    }
    assert files(folder) == {}


def test_a_rerun_takes_what_an_interrupted_run_left(folder: WorkFolder) -> None:
    left = [one for one in batches(4) if parse_batch(one).number in {2, 4}]
    for text in left:
        renumbered = batch_text(parse_batch(text)._replace(number=77))
        folder.write("results", key_of(text), examined(renumbered))
    asked: list[str] = []

    def counted(text: str) -> str:
        asked.append(text)
        return examined(text)

    engine, _ = inline(folder, counted)
    assert by_number(engine.run(batches(4))) == expected(4)
    assert {parse_batch(one).number for one in asked} == {1, 3}
    assert files(folder) == {}


def test_what_the_run_did_not_write_stays_for_the_next(folder: WorkFolder) -> None:
    engine, _ = inline(folder, examined, tasks=1, batches=4)
    results = engine.run(batches(4))
    next(results)
    results.close()  # as Ctrl-C, before the first was written
    assert len(folder.names("results")) == 4


@pytest.mark.parametrize("damage", ["", "{", "[]", '{"batch": 1}', "{number}"])
def test_a_result_that_is_none_is_made_again(folder: WorkFolder, damage: str) -> None:
    (text,) = batches(1)
    short = result_text(Result(1, ()))
    folder.write("results", key_of(text), short if damage == "{number}" else damage)
    engine, launcher = inline(folder, examined)
    assert by_number(engine.run(iter((text,)))) == expected(1)
    assert launcher.submissions == [1]  # the worker does not take it as done


def test_a_worker_that_is_started_again_leaves_out_what_is_done(folder: WorkFolder) -> None:
    first, second = batches(2)
    for one in (first, second):
        folder.write("batches", key_of(one), one)
    folder.write("tasks", "t.json", f'["{key_of(first)}", "{key_of(second)}", "gone.json"]')
    folder.write("results", key_of(first), "of the first try")
    work(folder, "t", examined)
    assert folder.read("results", key_of(first)) == "of the first try"
    assert folder.read("results", key_of(second)) == examined(second)


def test_workers_that_never_start_end_the_run(folder: WorkFolder) -> None:
    engine, launcher = inline(folder, examined)
    launcher.ended = lambda: [launcher.waiting.pop(0)]  # type: ignore[method-assign] # a cluster without Python
    with pytest.raises(EngineFailed, match=r"workers end before they run \(killed in .*check that"):
        list(engine.run(batches(3)))
    assert launcher.is_stopped


def test_a_folder_that_cannot_be_written_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    engine, _ = inline(WorkFolder(str(tmp_path / "file" / "work")), examined)
    with pytest.raises(CkptError, match="file"):
        list(engine.run(batches(1)))
    with pytest.raises(CkptError, match="cannot be opened"):
        WorkFolder("nothing://bucket/x")


def test_an_engine_without_its_commands_says_what_to_do(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(EngineMissing, match="sbatch, which is not installed; run it on a machine"):
        api.audit_engine("slurm", str(tmp_path))
    (tmp_path / "ray").mkdir()  # what a current folder may have; Ray is not a test's dependency
    monkeypatch.setattr("ckpt_tools.audit.engines.ray.find_spec", PathFinder.find_spec)
    monkeypatch.setattr(sys, "path", [str(tmp_path)])
    with pytest.raises(EngineMissing, match=r"needs ray, .*; pip install 'ckpt-tools\[fleet\]'"):
        api.audit_engine("ray", str(tmp_path))
    with pytest.raises(
        UnknownSelection, match=r"^the engine slurm needs a folder for its work; .* with folder=$"
    ):
        api.audit_engine("slurm", "")


# Commands with Slurm's names that answer as Slurm's do: what the engine asks and understands.
SLURM = """#!/bin/sh
echo "$(basename "$0") $*" >> "$FLEET/asked"
case $0 in
*/sbatch) cat > "$FLEET/script"; echo "Submitted batch job 5" ;;
*/squeue) [ -e "$FLEET/down" ] && rm "$FLEET/down" && exit 1; cat "$FLEET/queue" ;;
esac
"""


@pytest.fixture
def slurm(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    for name in ("sbatch", "squeue", "scancel"):
        (tmp_path / name).write_text(SLURM)
        (tmp_path / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    monkeypatch.setenv("FLEET", str(tmp_path))
    return tmp_path


def test_slurm_is_asked_for_an_array_and_for_what_is_left_of_it(slurm: Path) -> None:
    launcher = SlurmLauncher(WorkFolder(str(slurm / "100% work")), 7)
    launcher.start("a-0", 3)
    (slurm / "queue").write_text("ckpt-audit-a-0.1\nckpt-audit-other.5\n")
    (slurm / "down").write_text("")  # the scheduler does not answer once
    assert launcher.ended() == ["a-0.0", "a-0.2"]
    launcher.stop()
    asked = (slurm / "asked").read_text().splitlines()
    assert asked[0].startswith("sbatch --job-name=ckpt-audit-a-0 --array=0-2%7 --requeue ")
    assert asked[0].endswith(f"--output={slurm}/100%% work/logs/a-0.%a.log")
    assert asked[-1] == "scancel --name=ckpt-audit-a-0"
    assert launcher.why("a-0.1") == f"see {slurm}/100% work/logs/a-0.1.log"
    script = (slurm / "script").read_text()
    assert script == (
        f"#!/bin/sh\nexec {sys.executable} -m ckpt_tools audit work '{slurm}/100% work'"
        ' a-0."$SLURM_ARRAY_TASK_ID"\n'
    )


def test_the_output_of_tasks_is_where_sbatch_variables_say(
    slurm: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    launcher = SlurmLauncher(WorkFolder("memory://work"), 1)
    launcher.start("a-0", 1)
    assert launcher.why("a-0.0") == (
        "its output is not kept; set SBATCH_OUTPUT to a file on the cluster"
    )
    monkeypatch.setenv("SBATCH_OUTPUT", "/logs/%A.%a")
    launcher.start("a-1", 1)
    assert launcher.why("a-1.0") == "its output is in the file of SBATCH_OUTPUT, /logs/%A.%a"
    dropped, named = (slurm / "asked").read_text().splitlines()
    assert dropped.endswith(" --output=/dev/null")
    assert "--output" not in named


def test_a_job_that_slurm_does_not_accept_is_one_sentence(slurm: Path) -> None:
    (slurm / "sbatch").write_text("#!/bin/sh\necho 'error: invalid partition' >&2; exit 1\n")
    engine = slurm_engine(WorkFolder(str(slurm / "work")), 1)
    with pytest.raises(EngineFailed, match=r"job: error: invalid partition; .*SBATCH_PARTITION"):
        list(engine.run(batches(1)))


# A Python whose first process is killed in the middle of its second batch.
KILLED = """
import os, runpy, signal, sys
from ckpt_tools import api
def examine(text, whole=api.examine_batch, marker=sys.argv[1], done=[]):
    done.append(text)
    if len(done) == 2 and not os.path.exists(marker):
        open(marker, "w").close()
        os.kill(os.getpid(), signal.SIGKILL)
    return whole(text)
import ckpt_tools.api._audit as audit
audit.examine_batch = examine
sys.argv = sys.argv[3:]
runpy.run_module("ckpt_tools", run_name="__main__")
"""


def test_processes_with_one_killed_give_what_the_local_engine_gives(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ckpt_tools.audit.run.BATCH", 4)
    tree = make_tree(tmp_path / "tree", 2)
    api.audit([tree], out=tmp_path / "local.db", jobs=1, values=True)
    folder = WorkFolder(str(tmp_path / "work"))
    launcher = ProcessLauncher(folder, (sys.executable, "-c", KILLED, str(tmp_path / "killed")))
    engine = TaskEngine(folder, launcher, tasks=1, batches=3)
    api.audit([tree], out=tmp_path / "fleet.db", engine=engine, values=True)
    assert launcher.codes[0] == -9
    assert not any(launcher.codes[1:])
    assert_same(tmp_path / "fleet.db", tmp_path / "local.db")
