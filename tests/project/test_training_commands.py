"""The training commands of the documents and of the example script follow stock LeRobot's rules.

Nothing is trained here: `tests/core/test_documented_commands.py` runs the commands.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
DOCUMENTS = sorted(
    [
        *ROOT.glob("*.md"),
        *(ROOT / "docs").rglob("*.md"),
        *(ROOT / "lerobot_policy_smolvla_reflow").glob("*.md"),
        *(ROOT / "examples").rglob("*.sh"),
    ]
)
SCRIPT = ROOT / "examples/train_reflow_smolvla.sh"

# A command starts with its options, or with an ellipsis for those shown before; it ends with its
# line or with the backtick around it.
COMMAND = re.compile(r"lerobot-train[ \n]+(?:--|…)(?:\\\n|[^\n`]|\n(?= *--))*")

# What a step of the script does, by its name or by its first argument: prints its words, keeps
# them, and ends as the test says.
STUB = """#!/bin/sh
echo "${0##*/} $*" | tee -a "$TRIED"
step=${0##*/}; [ "$step" = ckpt ] && step=$1
eval "exit \\${status_$(echo "$step" | tr - _):-0}"
"""


def commands() -> list[tuple[str, str]]:
    """Return (document, command) of every `lerobot-train` command that is shown with options."""
    return [
        (path.relative_to(ROOT).as_posix(), command)
        for path in DOCUMENTS
        for command in COMMAND.findall(path.read_text(encoding="utf-8"))
        if "--help" not in command
    ]


def test_commands_are_found_where_they_are_documented() -> None:
    assert {document for document, _ in commands()} >= {
        "docs/training.md",
        "lerobot_policy_smolvla_reflow/README.md",
        "examples/train_reflow_smolvla.sh",
    }


@pytest.mark.parametrize(("document", "command"), commands())
def test_a_documented_training_says_whether_it_publishes(document: str, command: str) -> None:
    """LeRobot pushes a policy by default, and does not start without a repository to push to."""
    assert "--policy.push_to_hub=false" in command or "--policy.repo_id=" in command, document


def run_script(folder: Path, **status: int) -> tuple[int, list[str], str]:
    """Run the example script with stubs for its commands.

    Return its status, the commands it ran, and what it printed.
    """
    (folder / "teacher").mkdir()
    for name in ("lerobot-train", "ckpt"):
        stub = folder / name
        stub.write_text(STUB, encoding="utf-8")
        stub.chmod(0o755)
    tried = folder / "tried"
    environment = {"PATH": f"{folder}{os.pathsep}{os.environ['PATH']}", "TRIED": str(tried)} | {
        f"status_{step}": str(code) for step, code in status.items()
    }
    done = subprocess.run(
        [SCRIPT, "teacher", "user/data", "run"],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    return done.returncode, tried.read_text(encoding="utf-8").splitlines(), done.stdout


def test_the_example_script_trains_without_publishing_and_looks_at_the_student(
    tmp_path: Path,
) -> None:
    status, tried, printed = run_script(tmp_path)
    student = "run/checkpoints/last/pretrained_model"
    assert "--policy.push_to_hub=false" in tried[0].split()
    assert tried[1:] == [
        f"ckpt diff teacher {student}",
        f"ckpt verify --values {student}",
        f"ckpt gate {student}",
    ]
    assert status == 0
    assert f"ckpt upload <user>/<repository> {student}" in printed


@pytest.mark.parametrize(("step", "expected"), [("diff", 0), ("verify", 1), ("gate", 0)])
def test_the_example_script_runs_on_where_something_is_found(
    tmp_path: Path, step: str, expected: int
) -> None:
    status, tried, printed = run_script(tmp_path, **{step: 1})
    assert status == expected
    assert len(tried) == 4
    assert f"ckpt {step}" in printed
    assert "ckpt upload" in printed


@pytest.mark.parametrize("step", ["lerobot_train", "diff", "verify", "gate"])
def test_the_example_script_ends_where_a_step_could_not_run(tmp_path: Path, step: str) -> None:
    status, tried, printed = run_script(tmp_path, **{step: 2})
    assert status == 2
    assert tried[-1].replace("-", "_").startswith((step, f"ckpt {step}"))
    assert "ckpt upload" not in printed


def test_the_help_of_the_datasets_script_does_not_load_lerobot(tmp_path: Path) -> None:
    (tmp_path / "lerobot.py").write_text("raise SystemExit('loaded')")
    done = subprocess.run(
        [sys.executable, ROOT / "examples/quickstart/make_dataset.py", "--help"],
        env=os.environ | {"PYTHONPATH": str(tmp_path)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.startswith("usage: make_dataset.py")
