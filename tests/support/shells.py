"""Commands as a shell reads them."""

from __future__ import annotations

import os
import subprocess


def split(command: str) -> list[str]:
    """Return the words of a command that somebody pastes into bash."""
    script = f"printf '%s\\0' {command}"
    done = subprocess.run(["bash", "-c", script], capture_output=True, check=True)
    return [os.fsdecode(word) for word in done.stdout.split(b"\0")[:-1]]
