"""Builds the wheel of this checkout and installs it in fresh environments with locked versions."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import NamedTuple

import pytest

ROOT = Path(__file__).parents[2]
LOCKS = ("newest", "lowest")
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
PYTHONS = [
    version for line in PROJECT["classifiers"] if "." in (version := line.rpartition(" :: ")[2])
]
"""The Python versions in the classifiers of pyproject.toml, such as 3.12."""


class Environment(NamedTuple):
    """An environment with the wheel: the name of its lock, and its bin folder."""

    lock: str
    programs: Path


def built(out: Path, **environment: str) -> Path:
    build = "import sys; from hatchling.build import build_wheel; print(build_wheel(sys.argv[1]))"
    command = [sys.executable, "-c", build, str(out)]
    environment = os.environ | environment
    subprocess.run(command, check=True, cwd=ROOT, capture_output=True, env=environment)
    return next(out.glob("*.whl"))


def create(folder: Path, version: str, lock: str, wheel: Path) -> Environment:
    """Create an environment with the packages of a lock and the wheel.

    Skips the test if this Python is not installed.
    """
    python = folder / "bin" / "python"
    uv("venv", "--python", interpreter(version), folder)
    uv(
        "pip",
        "install",
        "--python",
        python,
        "--no-build",
        "--require-hashes",
        "--requirements",
        ROOT / "requirements" / f"{lock}.lock",
    )
    uv("pip", "install", "--python", python, "--no-deps", wheel)
    uv("pip", "check", "--python", python)
    return Environment(lock, folder / "bin")


def interpreter(version: str) -> str:
    """Return the path of a Python: the one that runs the tests, or the first in PATH or pyenv."""
    pyenv = Path(os.environ.get("PYENV_ROOT", "~/.pyenv")).expanduser()
    candidates = [
        sys.executable,
        shutil.which(f"python{version}"),
        *map(str, sorted(pyenv.glob(f"versions/{version}.*/bin/python"))),
    ]
    says = "import sys; print('%d.%d' % sys.version_info[:2])"
    for candidate in filter(None, candidates):
        if (
            subprocess.run(
                [candidate, "-c", says], check=False, capture_output=True, text=True
            ).stdout.strip()
            == version
        ):
            return candidate
    pytest.skip(f"Python {version} is not installed: not found in PATH or pyenv")


def uv(*arguments: str | Path) -> None:
    """Run uv; it never downloads a Python."""
    done = subprocess.run(
        [sys.executable, "-m", "uv", "--no-config", "--no-python-downloads", *arguments],
        check=False,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
