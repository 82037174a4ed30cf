"""The gate where others run it: as a pre-commit hook, as a GitHub Action, as an extension of `hf`.

Each is run as its host would run it.
"""

from __future__ import annotations

import json
import re
import shlex
import sys
from typing import TYPE_CHECKING

import pytest
import yaml

from tests.project.hosts import ACTION, ROOT, act, console_script, executable, run

if TYPE_CHECKING:
    from pathlib import Path

# --- pre-commit -----------------------------------------------------------------------------------


def test_the_hook_is_what_pre_commit_takes() -> None:
    (hook,) = yaml.safe_load((ROOT / ".pre-commit-hooks.yaml").read_text(encoding="utf-8"))
    assert (hook["id"], hook["language"], hook["entry"], hook["pass_filenames"]) == (
        "ckpt-gate",
        "python",
        "ckpt gate",
        False,
    )
    assert hook["always_run"]
    assert set(hook["stages"]) <= {"pre-commit", "pre-push", "manual"}


@pytest.mark.parametrize(("checkpoint", "status"), [("normal", 0), ("reflow", 1)])
def test_the_hook_runs_as_pre_commit_runs_it(home: Path, checkpoint: str, status: int) -> None:
    """The entry split as a shell would, then the user's args, and no file names."""
    (hook,) = yaml.safe_load((ROOT / ".pre-commit-hooks.yaml").read_text(encoding="utf-8"))
    done = run([*shlex.split(hook["entry"]), f"{checkpoint}/"], home)
    assert done.returncode == status, done.stdout + done.stderr


# --- the action -----------------------------------------------------------------------------------


def test_the_action_passes_what_passes(home: Path) -> None:
    status, log = act(home, path="normal")
    assert status == 0, log
    assert (home / "python-got").read_text().split() == [
        "-m",
        "pip",
        "install",
        "--quiet",
        "--disable-pip-version-check",
        str(ROOT),
    ]
    assert json.loads((home / "ckpt.sarif").read_text())["version"] == "2.1.0"
    assert (home / "output").read_text() == "file=ckpt.sarif\n"


def test_the_action_refuses_what_is_dirty_beside_its_files(home: Path) -> None:
    status, log = act(home, path="reflow", profile="lerobot", sarif="found.sarif")
    assert status == 1
    assert "::error file=reflow/model.safetensors,title=CK301 teacher-weights::" in log
    assert "CK301" in {
        result["ruleId"]
        for result in json.loads((home / "found.sarif").read_text())["runs"][0]["results"]
    }


def test_the_action_takes_several_paths(home: Path) -> None:
    (home / "normal").rename(home / "a normal one")
    status, log = act(home, path="a normal one\n\nreflow\n")
    assert status == 1
    assert "title=CK301" in log
    runs = json.loads((home / "ckpt.sarif").read_text())["runs"]
    assert [len(run["results"]) > 0 for run in runs] == [False, True]


def test_the_action_does_what_its_inputs_say(home: Path) -> None:
    status, log = act(home, path="reflow", format="junit", sarif="", package="ckpt-tools==9")
    assert status == 1
    assert log.startswith("<?xml")
    assert not (home / "ckpt.sarif").exists()
    assert (home / "python-got").read_text().split()[-1] == "ckpt-tools==9"


@pytest.mark.parametrize(
    "path", ["absent", "--help", "x; touch hacked", "$(touch hacked)", "`touch hacked`"]
)
def test_no_path_is_run_or_taken_for_an_option(home: Path, path: str) -> None:
    status, log = act(home, path=path)
    assert status == 2
    assert "no such file or directory" in log
    assert not (home / "hacked").exists()


def test_no_step_of_the_action_has_an_expression_in_its_script() -> None:
    assert ACTION["runs"]["using"] == "composite"
    assert [step["name"] for step in ACTION["runs"]["steps"] if "${{" in step["run"]] == []
    used = {
        name
        for step in ACTION["runs"]["steps"]
        for value in step["env"].values()
        for name in re.findall(r"inputs\.(\w+)", value)
    }
    assert used == set(ACTION["inputs"])


# --- an extension of hf ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "status"),
    [
        (["gate", "normal"], 0),
        (["gate", "reflow"], 1),
        (["show", "normal"], 0),
        (["gate", "absent"], 2),
    ],
)
def test_hf_runs_it_as_an_extension(home: Path, arguments: list[str], status: int) -> None:
    """What `hf extensions install OWNER/hf-ckpt` leaves is an executable and a manifest.

    The real `hf` finds and runs it.
    """
    folder = home / ".local" / "share" / "hf" / "extensions" / "hf-ckpt"
    executable(folder / "venv" / "bin" / "hf-ckpt", console_script())
    manifest = {
        "owner": "x",
        "repo": "hf-ckpt",
        "repo_id": "x/hf-ckpt",
        "short_name": "ckpt",
        "type": "python",
        "installed_at": "2026-01-01T00:00:00+00:00",
    }
    (folder / "manifest.json").write_text(
        json.dumps(manifest | {"executable_path": str(folder / "venv" / "bin" / "hf-ckpt")}),
        encoding="utf-8",
    )
    hf = [sys.executable, "-m", "huggingface_hub.cli.hf"]
    done = run([*hf, "ckpt", *arguments], home, HF_HUB_OFFLINE="1", HF_HUB_DISABLE_UPDATE_CHECK="1")
    assert done.returncode == status, done.stdout + done.stderr
    direct = run(["ckpt", *arguments], home)
    assert done.stdout == direct.stdout
