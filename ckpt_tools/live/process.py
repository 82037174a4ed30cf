"""Runs a probe: a request to its standard input, its answer from its standard output."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import ckpt_tools
from ckpt_tools.errors import CkptError, LibraryMissing, ProbeFailed
from ckpt_tools.live.bases import missing
from ckpt_tools.strict_json.parse import parse_object

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ckpt_tools.live.stage import Stage

_START = "import sys; sys.path.append(sys.argv.pop()); from ckpt_tools.probes.__main__ import main; main()"  # noqa: E501 - one statement
"""Not by -m, which would search the current folder for modules first."""

_DYING = 20
"""Lines of a probe's log that may say why it ended."""


def ask(request: Mapping[str, object], stage: Stage, *, seconds: int) -> dict[str, Any]:
    """Return the answer of the probe.

    Raises BaseMissing for a model that is not on this machine, LibraryMissing for a package, and
    ProbeFailed for a probe that answers nothing in time.
    """
    root = os.path.dirname(os.path.dirname(os.path.abspath(ckpt_tools.__file__)))
    command = [sys.executable, "-P", "-c", _START, root]
    with tempfile.TemporaryFile("w+", encoding="utf-8", errors="replace") as log:
        with subprocess.Popen(  # noqa: S603 - this package's own program
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=log,
            text=True,
            env=dict(stage.environment),
            start_new_session=True,
        ) as process:
            try:
                output, _ = process.communicate(json.dumps(request), timeout=seconds)
            except subprocess.TimeoutExpired:
                raise ProbeFailed(
                    f"the library did not answer within {seconds:,} seconds"
                ) from None
            finally:
                _end(process)
        log.seek(0)
        return _checked(output, process.returncode, log.read())


def _end(process: subprocess.Popen[str]) -> None:
    """End the probe and what it started."""
    if process.poll() is None:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)


def _checked(output: str, status: int, log: str) -> dict[str, Any]:
    lines = output.strip().splitlines()
    try:
        answer = dict(parse_object(lines[-1])) if lines else {}
    except CkptError:
        answer = {}
    if name := answer.get("missing"):
        raise missing(str(name))
    if library := answer.get("library"):
        raise LibraryMissing(str(library))
    if status or not answer:
        raise ProbeFailed(f"the library could not answer: {_reason(log, status)}")
    return answer


def _reason(log: str, status: int) -> str:
    """Return the last line of the log, or which signal ended the process."""
    if status == -signal.SIGKILL:
        return "it was killed, as the system does when memory runs out"
    if status < 0:
        return f"it was ended by signal {-status}"
    lines = [line for line in log.strip().splitlines()[-_DYING:] if line.strip()]
    return lines[-1].strip() if lines else f"exit status {status}"
