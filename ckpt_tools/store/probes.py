"""Asking a live model: a probe, found by entry point, loads the checkpoint in a process of its own. The tool itself imports no model library."""

from __future__ import annotations

import importlib
import sys
from typing import Any

from ckpt_tools.errors import CkptError, ProbeMissing, Unreadable
from ckpt_tools.format.json_text import parse_object

GROUP = "ckpt_tools.probes"
"""Entry points by family; each names a module that is run with the folder as its argument and prints {"problems": [...]}."""

SECONDS = 900


def probe(family: str, folder: str) -> tuple[str, ...]:
    """Return what keeps the checkpoint in `folder` from loading and acting; empty when it does both.

    Raises ProbeMissing, and Unreadable when the probe dies.
    """
    metadata, subprocess = importlib.import_module("importlib.metadata"), importlib.import_module("subprocess")
    found: dict[str, Any] = {entry.name: entry for entry in metadata.entry_points(group=GROUP)}
    if family not in found:
        msg = f"no probe is installed that loads {family} checkpoints"
        raise ProbeMissing(msg)
    command = [sys.executable, "-m", found[family].value.partition(":")[0], folder]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=SECONDS, check=False, stdin=subprocess.DEVNULL)
    except subprocess.TimeoutExpired:
        msg = f"its probe gave no answer in {SECONDS:,} seconds"
        raise Unreadable(msg, path=folder, hint=f"run it by hand: {' '.join(command)}") from None
    answer = _answer(done.stdout)
    if done.returncode or answer is None:
        lines = done.stderr.strip().splitlines()
        msg = f"its probe failed: {lines[-1] if lines else f'exit status {done.returncode}'}"
        raise Unreadable(msg, path=folder, hint=f"run it by hand: {' '.join(command)}")
    return answer


def _answer(output: str) -> tuple[str, ...] | None:
    """Return the problems that the last line of a probe's output lists, None where it is no answer."""
    lines = output.strip().splitlines()
    try:
        problems = parse_object(lines[-1]).get("problems") if lines else None
    except CkptError:
        return None
    return tuple(str(item) for item in problems) if isinstance(problems, list) else None
