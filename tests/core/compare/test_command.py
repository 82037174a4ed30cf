"""The command line: speed of its help, and one sentence for what cannot be compared."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from lerobot_reflow import pairs
from lerobot_reflow.compare.command import main

from lerobot_policy_smolvla_reflow import flow

SLOW = ("torch", "lerobot", "transformers", "matplotlib")
PROGRAM = f"""
import importlib, sys
main = importlib.import_module(sys.argv.pop(1)).main
try:
    status = main()
except SystemExit as error:
    status = error.code
assert not sys.modules.keys() & set({SLOW!r})
sys.exit(status)
"""


@pytest.mark.parametrize(
    ("arguments", "status"),
    [
        (["lerobot_reflow.compare.command", "--help"], 0),
        (["lerobot_reflow.compare.command", "--out=o"], 2),
        (["lerobot_reflow.compare.command", "--teacher=no", "--out=o", "--env.type=pusht"], 2),
        (["lerobot_reflow.pairs", "--help"], 0),
        (["lerobot_reflow.pairs", "--solver=midpoint"], 2),
    ],
)
def test_arguments_are_read_before_torch_is_imported(arguments: list[str], status: int) -> None:
    done = subprocess.run([sys.executable, "-c", PROGRAM, *arguments], check=False)
    assert done.returncode == status


def test_the_pairs_command_knows_the_solvers() -> None:
    assert pairs.SOLVERS == flow.SOLVERS


@pytest.fixture
def teacher(tmp_path: Path) -> Path:
    folder = tmp_path / "teacher"
    folder.mkdir()
    config = {"type": "smolvla", "num_steps": 10, "n_action_steps": 8, "chunk_size": 16}
    (folder / "config.json").write_text(json.dumps(config))
    return folder


def error(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> str:
    """The line of an error, without its prefix."""
    assert main(arguments) == 2
    output = capsys.readouterr()
    assert not output.out
    assert output.err.startswith("error: ")
    assert output.err.count("\n") == 1
    return output.err.removeprefix("error: ")


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ([], "pass either --dataset.repo_id or --dataset.root, or --env.type and its options\n"),
        (["--dataset.root=d", "--env.type=e"], "its options; not both"),
        (["--dataset.root=d", "--eval.batch_size=2"], "is an option of lerobot-eval: pass"),
        (["--env.type=e", "--policy.path=p"], "set by the comparison: use --policy NAME="),
        (["--env.type=e", "--", "--output_dir=p"], "set by the comparison: use --out"),
        (["--env.type=e", "--step=1"], "unknown argument --step=1; put arguments"),
        (["--env.type", "e", "f"], "unknown argument f;"),
        (["--env.type=e", "--policy=a=nowhere"], "nowhere: no such folder"),
        (["--env.type=e", "--policy=teacher=nowhere"], "the name teacher is that of --teacher"),
        (["--env.type=e", "--n-action-steps=17"], "predicts 16 actions, so it cannot execute 17"),
    ],
)  # fmt: skip
def test_what_cannot_be_compared_is_one_sentence(
    teacher: Path, arguments: list[str], sentence: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert sentence in error([f"--teacher={teacher}", "--out=o", *arguments], capsys)


def test_a_folder_that_cannot_be_written_to_is_one_sentence(
    teacher: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = teacher / "config.json/out"
    assert error([f"--teacher={teacher}", f"--out={out}", "--env.type=e"], capsys) == (
        f"{out}: Not a directory; pass a folder that can be written to as --out\n"
    )


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("{", "config.json is not valid JSON"),
        ("[]", "config.json states no policy type"),
        ('{"type": "act", "chunk_size": 100}', "has the type act and no num_steps"),
    ],
)
def test_a_config_that_is_not_a_teachers_is_one_sentence(
    teacher: Path, text: str, sentence: str, capsys: pytest.CaptureFixture[str]
) -> None:
    (teacher / "config.json").write_text(text)
    assert sentence in error([f"--teacher={teacher}", "--out=o", "--env.type=e"], capsys)


def test_the_folder_of_a_run_leads_to_its_checkpoint(
    teacher: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    nested = tmp_path / "run/checkpoints/last/pretrained_model"
    nested.parent.mkdir(parents=True)
    teacher.rename(nested)
    found = error([f"--teacher={tmp_path / 'run'}", "--out=o", "--env.type=e"], capsys)
    assert found == f"{tmp_path / 'run'} has no config.json; pass {nested}\n"
