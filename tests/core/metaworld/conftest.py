"""The example's modules, which import each other as scripts do."""

from __future__ import annotations

import os
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest

RENDER = "from mujoco.egl import GLContext; GLContext(8, 8).free()"
EXAMPLE = Path(__file__).resolve().parents[3] / "examples/metaworld"


@pytest.fixture(autouse=True)
def _importable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "path", [str(EXAMPLE), str(EXAMPLE / "environment"), *sys.path])


@cache
def renders() -> bool:
    """True when this machine can render images. What a driver does to a process is its own."""
    environment = os.environ | {"MUJOCO_GL": "egl"}
    command = [sys.executable, "-c", RENDER]
    return not subprocess.run(command, env=environment, capture_output=True, check=False).returncode
