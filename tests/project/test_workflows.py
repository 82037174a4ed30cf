"""Continuous integration as a user copies it: a workflow, and settings of pre-commit.

Every workflow is accepted by the schema and by zizmor. What runs without GitHub is run.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from ckpt_tools import __version__
from tests.project.hosts import act, script
from tests.support.hub.policies import contents
from tests.support.hub.server import HubServer

ROOT = Path(__file__).parents[2]
REPOSITORY = "https://github.com/OWNER/ckpt-tools"
EXAMPLES = sorted((ROOT / "examples" / "ci").iterdir())
WORKFLOWS = sorted([ROOT / "examples" / "ci" / "gate.yml", *ROOT.glob(".github/workflows/*.yml")])
BIN = Path(sys.executable).parent
SOURCES = ("ckpt_tools", "man", "schemas", "tools/build_kernels.py", "pyproject.toml", "README.md",
           "LICENSE", "CHANGELOG.md", ".pre-commit-hooks.yaml")  # fmt: skip


def checked(schema: str, *paths: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", f"vendor.{schema}"]
    return subprocess.run([*command, *paths], capture_output=True, text=True, check=False)


def audited(*paths: Path) -> subprocess.CompletedProcess[str]:
    """Judge workflows by zizmor, which is a program of its own beside Python."""
    zizmor = shutil.which("zizmor", path=f"{BIN}{os.pathsep}{os.environ['PATH']}") or "zizmor"
    options = ["--offline", "--no-progress", "--persona", "pedantic", "--strict-collection"]
    config = ROOT / ".github" / "zizmor.yml"
    command: list[str | Path] = [zizmor, *options, "--config", config, *paths]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_the_workflows_are_what_their_schema_says() -> None:
    for done in (
        checked("github-workflows", *WORKFLOWS),
        checked("github-actions", ROOT / "action.yml"),
        checked("dependabot", ROOT / ".github" / "dependabot.yml"),
    ):
        assert done.returncode == 0, done.stdout


def test_zizmor_finds_nothing_in_the_workflows() -> None:
    others = ("action.yml", ".github/dependabot.yml", ".pre-commit-hooks.yaml")
    done = audited(*WORKFLOWS, *(ROOT / name for name in others))
    assert done.returncode == 0, done.stdout


def test_both_judges_see_what_is_wrong(tmp_path: Path) -> None:
    text = WORKFLOWS[-1].read_text(encoding="utf-8")
    (tmp_path / "a.yml").write_text(text.replace("runs-on:", "runs-at:", 1), encoding="utf-8")
    assert checked("github-workflows", tmp_path / "a.yml").returncode == 1
    pinned = "actions/checkout@de0fac2e4500dabe0009e67214ff5f5447ce83dd"
    assert pinned in text
    (tmp_path / "b.yml").write_text(text.replace(pinned, "actions/checkout@v6"), encoding="utf-8")
    assert "unpinned-uses" in audited(tmp_path / "b.yml").stdout


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda path: path.name)
def test_the_documentation_shows_the_files_that_are_tested(example: Path) -> None:
    shown = (ROOT / "docs" / "gate.md").read_text(encoding="utf-8")
    text = example.read_text(encoding="utf-8")
    assert f"```yaml\n{text}```" in shown
    assert f"v{__version__}" in text
    assert "OWNER/ckpt-tools" in text


# --- the workflow ---------------------------------------------------------------------------------


def ran(job: str, home: Path, **environment: str) -> tuple[int, str]:
    """Run a job of the workflow up to the step that fails; return its status and the log.

    Steps of others, such as the checkout, are left out.
    """
    workflow: dict[str, Any] = yaml.safe_load(
        (ROOT / "examples" / "ci" / "gate.yml").read_text(encoding="utf-8")
    )
    for step in workflow["jobs"][job]["steps"]:
        uses, status, log = step.get("uses", ""), 0, ""
        if uses.startswith("OWNER/ckpt-tools@"):
            status, log = act(home, **step["with"])
        elif not uses:
            assert set(step.get("env", {})) <= set(environment)
            done = script(step["run"], home, **environment)
            status, log = done.returncode, done.stdout + done.stderr
        if status:
            return status, log
    return 0, ""


def test_the_workflow_passes_and_uploads_a_good_checkpoint(home: Path) -> None:
    (home / "normal").rename(home / "out")
    assert ran("gate", home) == (0, "")
    assert json.loads((home / "ckpt.sarif").read_text(encoding="utf-8"))["runs"]
    with HubServer() as hub:
        known = {name: value for name, value in hub.environment(home).items() if name[:3] == "HF_"}
        assert ran("upload", home, **known) == (0, "")
        assert hub.files("me/policy").items() >= contents(home / "out").items()
    assert f"git+{REPOSITORY}@v{__version__}" in (home / "python-got").read_text(encoding="utf-8")


def test_the_workflow_stops_at_a_bad_checkpoint(home: Path) -> None:
    (home / "reflow").rename(home / "out")
    status, log = ran("gate", home)
    assert status == 1
    assert "title=CK301 teacher-weights::" in log
    assert json.loads((home / "ckpt.sarif").read_text(encoding="utf-8"))["runs"][0]["results"]


def test_a_gate_that_could_not_run_leaves_no_sarif_file(home: Path) -> None:
    assert ran("gate", home)[0] == 2
    assert not (home / "ckpt.sarif").exists()


# --- pre-commit -----------------------------------------------------------------------------------


def committed(folder: Path) -> None:
    for command in ("init", "add --all", "commit --no-verify --message x", f"tag v{__version__}"):
        git("-c", "init.defaultBranch=main", *command.split(), folder=folder)


def git(*arguments: str, folder: Path) -> None:
    who = {"GIT_CONFIG_GLOBAL": os.devnull} | {
        f"GIT_{role}_{what}": "a@example.org"
        for role in ("AUTHOR", "COMMITTER")
        for what in ("NAME", "EMAIL")
    }
    command = ["git", "-C", str(folder), *arguments]
    subprocess.run(command, check=True, capture_output=True, env=os.environ | who)


def release(folder: Path) -> Path:
    """This project as a repository with a release, as pre-commit clones it."""
    for name in SOURCES:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        if (ROOT / name).is_dir():
            unwanted = shutil.ignore_patterns("__pycache__", "libkernels*")
            shutil.copytree(ROOT / name, folder / name, ignore=unwanted)
        else:
            shutil.copy(ROOT / name, folder / name)
    committed(folder)
    return folder


@pytest.mark.slow
def test_pre_commit_installs_the_release_and_runs_the_hook(home: Path, tmp_path: Path) -> None:
    """Without an index: dependencies are those of this environment."""
    project = release(tmp_path / "project")
    config = (ROOT / "examples" / "ci" / "pre-commit-config.yaml").read_text(encoding="utf-8")
    user = tmp_path / "user"
    shutil.copytree(home / "normal", user / "out")
    (user / ".pre-commit-config.yaml").write_text(
        config.replace(REPOSITORY, project.as_uri()), encoding="utf-8"
    )
    committed(user)
    (user / "out" / "config.json").write_text("{}", encoding="utf-8")
    statuses = []
    for _ in range(2):
        done = pre_commit(user, tmp_path)
        statuses.append(done.returncode)
        git("checkout", "out/config.json", folder=user)
    assert statuses == [1, 0], done.stdout + done.stderr


def pre_commit(user: Path, cache: Path) -> subprocess.CompletedProcess[str]:
    environment = {
        "PRE_COMMIT_HOME": str(cache / "pre-commit"),
        "PYTHONPATH": os.pathsep.join(name for name in sys.path if "site-packages" in name),
        "PIP_NO_INDEX": "1",
        "PIP_NO_DEPS": "1",
        "PIP_NO_BUILD_ISOLATION": "0",  # pip reads it as: no isolation
        "CKPT_NO_KERNEL": "1",
        "GIT_CONFIG_GLOBAL": os.devnull,
    }
    command = [sys.executable, "-m", "pre_commit", "run", "--all-files", "--verbose"]
    return subprocess.run(
        command,
        cwd=user,
        capture_output=True,
        text=True,
        check=False,
        env=os.environ | environment,
    )
