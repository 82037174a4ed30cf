"""`ckpt upload` where things are not as they should be.

It is told to stop, the folder's name looks like a pattern, the repository holds more.
"""

from __future__ import annotations

import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.support.hub.server import Fault, HubServer

ROOT = Path(__file__).parents[2]
REPO = "tester/policy"
CARD = (
    "---\nlicense: apache-2.0\nlibrary_name: lerobot\npipeline_tag: robotics\n---\n\n# A policy\n"
)


def checkpoint(folder: Path) -> Path:
    """A checkpoint that may be uploaded."""
    shutil.copytree(ROOT / "fixtures" / "normal", folder)
    (folder / "README.md").write_text(CARD, encoding="utf-8")
    return folder


def start(hub: HubServer, folder: Path, *arguments: str) -> subprocess.Popen[str]:
    environment = hub.environment(folder.parent / "home", token=hub.token) | {
        "PYTHONPATH": str(ROOT)
    }
    command = [sys.executable, "-m", "ckpt_tools", "upload", REPO, folder.name, *arguments]
    return subprocess.Popen(
        command,
        cwd=folder.parent,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


@pytest.mark.parametrize("request_to_end", [signal.SIGTERM, signal.SIGHUP, signal.SIGINT])
def test_who_is_told_to_stop_leaves_no_copy_and_sends_no_more(
    hub: HubServer, tmp_path: Path, request_to_end: signal.Signals
) -> None:
    folder = checkpoint(tmp_path / "out")
    hub.misbehave(Fault.SLOW, path_contains="/preupload/", seconds=60)
    with start(hub, folder) as running:
        while not any(request.path.endswith("/repos/create") for request in hub.requests):
            assert running.poll() is None, running.stderr.read() if running.stderr else ""
            time.sleep(0.05)
        running.send_signal(request_to_end)
        _, complaint = running.communicate(timeout=60)
    assert running.returncode == 130
    assert complaint.endswith("ckpt: interrupted; no partial output was left behind\n")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["home", "out"]
    assert set(hub.files(REPO)) == {".gitattributes"}


@pytest.mark.parametrize("name", ["run[1]", "run*", "what?"])
def test_a_name_that_looks_like_a_pattern_is_a_name(
    hub: HubServer, tmp_path: Path, name: str
) -> None:
    folder = checkpoint(tmp_path / name)
    with start(hub, folder) as running:
        _, complaint = running.communicate(timeout=300)
    assert running.returncode == 0, complaint
    assert hub.files(REPO)["model.safetensors"] == (folder / "model.safetensors").read_bytes()


def test_what_the_repository_holds_beside_is_named(hub: HubServer, tmp_path: Path) -> None:
    hub.add_repo(REPO, {"old.pkl": b"\x80\x04N."})
    with start(hub, checkpoint(tmp_path / "out")) as running:
        _, complaint = running.communicate(timeout=300)
    assert running.returncode == 0, complaint
    assert "the repository already had 1 other file, not checked: old.pkl" in complaint
