"""Comparing in an environment: what is run, what is run again, and what survives.

A stand-in for lerobot-eval answers at once; one test runs the stock one.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from lerobot_reflow.compare import environment
from lerobot_reflow.compare.command import main
from lerobot_reflow.compare.environment import INFO, Evaluation
from lerobot_reflow.compare.policies import Policy, Row, read_checkpoint

from tests.core.support import CHUNK, WITH_TOY_WORLD, python

STAND_IN = Path(__file__).with_name("stand_in_eval.py")
TOY_WORLD = ("--env.type=toy_world", "--env.discover_packages_path=toy_world")

# The part of the command that runs one row, without importing torch.
ONE_STEP = """
import sys
from pathlib import Path
from lerobot_reflow.compare import environment
from lerobot_reflow.compare.policies import Policy, Row, read_checkpoint
environment.COMMAND = (sys.argv[1],)
run = read_checkpoint(sys.argv[2])
evaluation = environment.Evaluation(
    ("--env.type=toy", "--eval.batch_size=1"), 20, 100, 8, "cpu", None
)
row = Row(Policy("teacher", (run,)), 1)
environment.evaluate(row, run, evaluation, Path(sys.argv[3]), print)
"""


@pytest.fixture
def calls(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Replace lerobot-eval; the file of its calls."""
    monkeypatch.setattr(environment, "COMMAND", (str(STAND_IN),))
    monkeypatch.setenv("CALLS", str(tmp_path / "calls"))
    return tmp_path / "calls"


@pytest.fixture
def checkpoint(tmp_path: Path) -> Path:
    """As much of a checkpoint as is read without loading it."""
    return make_checkpoint(tmp_path / "teacher")


def make_checkpoint(folder: Path, **fields: Any) -> Path:
    folder.mkdir()
    config = {"type": "smolvla", "num_steps": 10, "n_action_steps": 8, "chunk_size": 16, **fields}
    (folder / "config.json").write_text(json.dumps(config))
    (folder / "model.safetensors").write_bytes(b"weights")
    return folder


def arguments(teacher: Path, out: Path, *more: str) -> list[str]:
    return [
        f"--teacher={teacher}", f"--out={out}", "--env.type=toy", "--episodes=20", "--seed=100",
        "--device=cpu", "--latency-rounds=0", *more,
    ]  # fmt: skip


def compare(teacher: Path, out: Path, *more: str) -> dict[str, Any]:
    assert main(arguments(teacher, out, *more)) == 0
    found: dict[str, Any] = json.loads((out / "comparison.json").read_text())
    return found


def read_calls(calls: Path) -> list[dict[str, str]]:
    return [json.loads(line) for line in calls.read_text().splitlines()]


def test_every_row_has_the_same_seeds_and_number_of_executed_actions(
    calls: Path, checkpoint: Path, tmp_path: Path
) -> None:
    student = make_checkpoint(tmp_path / "s", num_steps=1, n_action_steps=2, chunk_size=8)
    found = compare(
        checkpoint, tmp_path / "out", f"--policy=student={student}", "--steps=2,10",
        "--student-steps=own", "--eval.batch_size=4", "--threads=3",
    )  # fmt: skip
    assert [(row["policy"], row["steps"]) for row in found["rows"]] == [
        ("teacher", 10), ("teacher", 2), ("student", 1),
    ]  # fmt: skip
    assert found["n_action_steps"] == 8
    for call, steps in zip(read_calls(calls), ("10", "2", "1"), strict=True):
        expected = {
            "policy.num_steps": steps, "policy.n_action_steps": "8", "policy.device": "cpu",
            "eval.n_episodes": "20", "seed": "100", "env.type": "toy",
        }  # fmt: skip
        assert expected.items() <= call.items()
    assert call["policy.path"] == str(student)


def test_rows_are_paired_by_episode_with_the_reference(
    calls: Path, checkpoint: Path, tmp_path: Path
) -> None:
    found = compare(checkpoint, tmp_path / "out", "--steps=2,1")
    reference, two, one = found["rows"]
    assert reference["success"]["rate"] == 1
    assert reference["paired"] is None
    assert two["success"]["successes"] == 16  # all seeds but those divisible by 5
    assert two["paired"]["difference"] == pytest.approx(-0.2)
    assert two["paired"]["p_value"] == 2 / 2**4
    assert two["paired"]["pairs"] == {
        "both": 16, "only_first": 0, "only_second": 4, "neither": 0,
    }  # fmt: skip
    assert one["success"]["successes"] == 18


def test_finished_rows_are_not_run_again(calls: Path, checkpoint: Path, tmp_path: Path) -> None:
    first = compare(checkpoint, tmp_path / "out", "--steps=10")
    again = compare(checkpoint, tmp_path / "out", "--steps=10,1")
    assert [call["policy.num_steps"] for call in read_calls(calls)] == ["10", "1"]
    assert again["rows"][0] == first["rows"][0]


@pytest.mark.parametrize(
    "change", ["--seed=101", "--n-action-steps=4", "--env.task=b", "--threads=1"]
)
def test_other_settings_are_another_run(
    calls: Path, checkpoint: Path, tmp_path: Path, change: str
) -> None:
    compare(checkpoint, tmp_path / "out", "--steps=10")
    compare(checkpoint, tmp_path / "out", "--steps=10", change)
    assert len(read_calls(calls)) == 2


def test_other_weights_are_another_run_and_notes_are_not(
    calls: Path, checkpoint: Path, tmp_path: Path
) -> None:
    compare(checkpoint, tmp_path / "out", "--steps=10")
    (checkpoint / "train_config.json").write_text("{}")
    (checkpoint / "README.md").write_text("notes")
    compare(checkpoint, tmp_path / "out", "--steps=10")
    assert len(read_calls(calls)) == 1
    (checkpoint / "model.safetensors").write_bytes(b"others")
    compare(checkpoint, tmp_path / "out", "--steps=10")
    assert len(read_calls(calls)) == 2


@pytest.mark.parametrize("kept", [None, 0, 40])
def test_a_run_without_a_complete_result_is_run_again(
    calls: Path, checkpoint: Path, tmp_path: Path, kept: int | None
) -> None:
    compare(checkpoint, tmp_path / "out", "--steps=10")
    (info,) = (tmp_path / "out").glob(f"runs/*/{INFO}")
    if kept is None:
        info.unlink()
    else:
        info.write_bytes(info.read_bytes()[:kept])
    assert compare(checkpoint, tmp_path / "out", "--steps=10")["rows"][0]["success"]["rate"] == 1
    assert len(read_calls(calls)) == 2


def test_kill_9_loses_neither_finished_rows_nor_the_one_that_runs(
    calls: Path, checkpoint: Path, tmp_path: Path
) -> None:
    out, until = tmp_path / "out", tmp_path / "until"
    compare(checkpoint, out, "--steps=10")
    process = subprocess.Popen(
        [sys.executable, "-c", ONE_STEP, STAND_IN, checkpoint, out],
        env=os.environ | {"UNTIL": str(until)},
    )
    while len(read_calls(calls)) < 2:
        assert process.poll() is None
        time.sleep(0.1)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert not list(out.glob(f"runs/*.partial/{INFO}"))
    until.touch()  # lerobot-eval survived its parent, and the next command waits for its result
    assert compare(checkpoint, out, "--steps=10,1")["rows"][1]["success"]["successes"] == 18
    assert [call["policy.num_steps"] for call in read_calls(calls)] == ["10", "1"]


def test_a_row_that_fails_does_not_stop_the_others(
    calls: Path, checkpoint: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(arguments(checkpoint, tmp_path / "out", "--steps=3,1")) == 2
    found = json.loads((tmp_path / "out/comparison.json").read_text())
    assert [bool(row["success"]) for row in found["rows"]] == [True, False, True]
    output = capsys.readouterr()
    assert "teacher, 3 steps: lerobot-eval ended with status 1" in output.err
    assert "RuntimeError: no three steps" in output.err
    assert "log.txt" in output.err
    assert len(output.out.splitlines()) == 5  # two of the caption, the head, and two rows


def test_without_the_reference_nothing_is_compared(
    calls: Path, checkpoint: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(arguments(checkpoint, tmp_path / "out", "--reference-steps=3")) == 2
    assert "error: teacher, 3 steps, which all rows are compared with" in capsys.readouterr().err
    assert not (tmp_path / "out/comparison.json").exists()


def test_training_seeds_of_a_policy_are_one_row(
    calls: Path, checkpoint: Path, tmp_path: Path
) -> None:
    seeds = [make_checkpoint(tmp_path / str(seed)) for seed in range(3)]
    for seed, folder in enumerate(seeds):
        (folder / "model.safetensors").write_bytes(b"%d" % seed)
    found = compare(
        checkpoint, tmp_path / "out", *(f"--policy=student={folder}" for folder in seeds),
        "--steps=2", "--student-steps=2",
    )  # fmt: skip
    teacher, student = found["rows"][1:]
    assert student["success"]["episodes"] == 60
    assert [run["successes"] for run in student["success"]["runs"]] == [16, 16, 16]
    assert student["success"]["rate"] == teacher["success"]["rate"]
    assert student["paired"]["difference"] == pytest.approx(-0.2)
    assert student["paired"]["p_value"] == pytest.approx(2 / 2**4)
    assert student["paired"]["pairs"] is None


@pytest.mark.lerobot
def test_stock_lerobot_eval_takes_the_arguments(teacher_folder: Path, tmp_path: Path) -> None:
    run = read_checkpoint(str(teacher_folder))
    evaluation = Evaluation((*TOY_WORLD, "--eval.batch_size=1"), 2, 7, CHUNK - 1, "cpu", None)
    command = environment._arguments(Row(Policy("teacher", (run,)), 2), run, evaluation, tmp_path)
    done = python(WITH_TOY_WORLD, *command[2:])
    found = environment._read(tmp_path, 2)
    assert found is not None
    assert found.flat == [True, True]
    assert found.tasks == ("toy_world/0",)
    log = done.stdout + done.stderr
    for line in ("'num_steps': 2", f"'n_action_steps': {CHUNK - 1}", "'seed': 7"):
        assert line in log
