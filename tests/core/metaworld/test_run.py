"""The whole example in one run, tiny, interrupted by SIGKILL while it trains."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path

from tests.core.metaworld.conftest import EXAMPLE, renders

SECONDS = 600


def start(out: Path, *more: str) -> subprocess.Popen[str]:
    """Start the script. Without a driver for images, they are black."""
    budget = (
        "--quick", "--demonstrations=1", "--teacher-steps=10", "--student-steps=10",
        "--episodes=2", "--chosen-on=0", "--save-every=5", "--seeds=0",
    )  # fmt: skip
    return subprocess.Popen(
        [
            sys.executable, str(EXAMPLE / "run.py"), "--out", str(out), *budget,
            "--only", "drift", *([] if renders() else ["--no-images"]), *more,
        ],
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=os.environ,
    )  # fmt: skip


def test_runs_and_continues_after_sigkill(tmp_path: Path) -> None:
    out = tmp_path / "two-ways"
    last = out / "unfinished/teacher/run/checkpoints/last"
    first = start(out)
    deadline = time.monotonic() + SECONDS
    while not last.exists() and first.poll() is None and time.monotonic() < deadline:
        time.sleep(0.1)
    first.kill()
    told, _ = first.communicate()
    assert last.exists(), told
    assert not (out / "teacher").exists()

    told, _ = start(out).communicate(timeout=SECONDS)
    assert "written:" in told, told
    assert "demonstrations\n" not in told
    assert "'resume': True" in (out / "teacher/log.txt").read_text()
    rows = json.loads((out / "summary.json").read_text())["reported"]
    assert [(row["policy"], row["steps"], row["episodes"]) for row in rows] == [
        ("teacher", 10, 2), ("teacher", 2, 2), ("teacher", 1, 2),
        ("drift", 1, 2), ("drift", 10, 2),
    ]  # fmt: skip
    folder = out / "students/drift-0/pretrained_model"
    config = json.loads((folder / "config.json").read_text())
    assert (config["type"], config["num_steps"]) == ("smolvla", 1)
    assert "objective" not in config

    told, _ = start(out, "--episodes=3").communicate(timeout=SECONDS)
    assert told == f"{out} has other settings (episodes); pass another --out\n"
