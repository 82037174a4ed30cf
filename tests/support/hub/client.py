"""Run the real Hub client in a subprocess, and write the files it uploads."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tests.support.hub.server import HubServer

HF = Path(sys.executable).with_name("hf")


def write(folder: Path, files: dict[str, bytes]) -> Path:
    for path, data in files.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_bytes(data)
    return folder


def run(hub: HubServer, home: Path, *command: object) -> str:
    """The output of a command that knows this hub only; the test fails if the command does."""
    done = subprocess.run(
        [str(word) for word in command],
        env=hub.environment(home),
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout
