"""A checkpoint where others run the gate: its commands, and steps as a runner runs them."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).parents[2]
CARD = (
    "---\nlicense: apache-2.0\nlibrary_name: lerobot\npipeline_tag: robotics\n---\n\n# A policy\n"
)
STUB = '#!/bin/sh\nprintf "%s\\n" "$@" >> "$HOME/python-got"\n'


def furnished(folder: Path) -> Path:
    """Fill a folder with a good and a bad checkpoint, and commands as an installation leaves them.

    Its `python` only takes down what it is called with.
    """
    for name in ("normal", "reflow"):
        shutil.copytree(ROOT / "fixtures" / name, folder / name)
        (folder / name / "README.md").write_text(CARD, encoding="utf-8")
    executable(folder / "bin" / "ckpt", console_script())
    executable(folder / "bin" / "python", STUB)
    return folder


def console_script() -> str:
    """The script that pip makes of the project's entry point."""
    module, function = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))[
        "project"
    ]["scripts"]["ckpt"].split(":")
    return (
        f"#!{sys.executable}\nimport sys\nfrom {module} import {function}\nsys.exit({function}())\n"
    )


def executable(path: Path, content: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content, encoding="utf-8")
    path.chmod(0o755)


def run(command: list[str], home: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    base = {
        key: value for key, value in os.environ.items() if not key.startswith(("HF_", "GITHUB_"))
    }
    paths = {
        "HOME": str(home),
        "PATH": f"{home / 'bin'}{os.pathsep}{os.environ['PATH']}",
        "PYTHONPATH": str(ROOT),
    }
    return subprocess.run(
        command,
        capture_output=True,
        text=True,
        check=False,
        cwd=home,
        env=base | paths | environment,
        stdin=subprocess.DEVNULL,
    )


def script(text: str, home: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run a step's script as a runner does."""
    bash = ["bash", "--noprofile", "--norc", "-eo", "pipefail", "-c", text]
    return run(bash, home, **environment)


ACTION: dict[str, Any] = yaml.safe_load((ROOT / "action.yml").read_text(encoding="utf-8"))
EXPRESSION = re.compile(r"\$\{\{ *(.*?) *\}\}")


def act(home: Path, **inputs: str) -> tuple[int, str]:
    """Run the steps of the action as a runner does, up to the first that fails.

    Return its status and what the log holds.
    """
    given = {name: str(spec.get("default", "")) for name, spec in ACTION["inputs"].items()} | inputs
    log = ""
    for step in ACTION["runs"]["steps"]:
        if step.get("if") == "inputs.sarif != ''" and not given["sarif"]:
            continue
        environment = {
            name: EXPRESSION.sub(lambda found: value_of(found[1], given), value)
            for name, value in step["env"].items()
        }
        done = script(step["run"], home, GITHUB_OUTPUT=str(home / "output"), **environment)
        log += done.stdout + done.stderr
        if done.returncode:
            return done.returncode, log
    return 0, log


def value_of(expression: str, inputs: dict[str, str]) -> str:
    """What a runner makes of the expressions that the action has: the first that is not empty."""
    known = {f"inputs.{name}": value for name, value in inputs.items()} | {
        "github.action_path": str(ROOT)
    }
    return next((known[name] for name in expression.split(" || ") if known[name]), "")
