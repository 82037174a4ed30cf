"""Python programs in processes of their own, without the time that their imports take.

Each runs in a fork of a process that has imported what it needs: see preloaded.py.
"""

from __future__ import annotations

import atexit
import json
import os
import signal
import subprocess
import sys
import threading
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import pytest

import ckpt_tools
from ckpt_tools.cli.main import COMMANDS

if TYPE_CHECKING:
    from collections.abc import Mapping

SECONDS = 600
"""Far more than any program takes; none may hang."""

OFFLINE = {
    "HF_HUB_OFFLINE": "1",
    "CUDA_VISIBLE_DEVICES": "",
    "OMP_NUM_THREADS": "1",  # the models are tiny: more threads would only wait for each other
    "PYTHONWARNINGS": "ignore",
    "TOKENIZERS_PARALLELISM": "false",
}
"""The environment of programs that use LeRobot or transformers."""

TOOL = ("numpy", "ckpt_tools.cli.main", *(f"ckpt_tools.cli.{name}" for name in COMMANDS))
LIBRARIES = (
    "transformers.models.auto.modeling_auto",
    "transformers.models.llama.modeling_llama",
    "lerobot.policies.smolvla.modeling_smolvla",
)

type Done = subprocess.CompletedProcess[str]


class Preloaded:
    """A process that has imported `modules` in an environment, and ends with this one."""

    def __init__(self, modules: tuple[str, ...], environment: Mapping[str, str]) -> None:
        """Start it."""
        self.environment = environment
        self.process = subprocess.Popen(
            [sys.executable, "-P", Path(__file__).with_name("preloaded.py"), *modules],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=environment,
            start_new_session=True,
        )
        atexit.register(self._end)

    def _end(self) -> None:
        os.killpg(self.process.pid, signal.SIGKILL)
        self.process.communicate()

    def run(
        self, *arguments: object, folder: Path | None = None, env: Mapping[str, str] | None = None
    ) -> Done:
        """Run a script, or `-m` and a module, with these arguments, in a folder.

        What is imported already has not read `env`.
        """
        given = [os.fsdecode(one if isinstance(one, bytes) else str(one)) for one in arguments]
        with TemporaryDirectory() as home:
            output, errors = Path(home, "output"), Path(home, "errors")
            output.touch()
            errors.touch()
            request = {
                "arguments": given,
                "environment": dict(self.environment if env is None else env),
                "folder": str(folder or Path.cwd()),
                "output": str(output),
                "errors": str(errors),
            }
            status = self._answer(json.dumps(request))
            assert status, f"{given} did not end within {SECONDS} seconds, or could not start"
            return subprocess.CompletedProcess(
                given, int(status), output.read_text("utf-8"), errors.read_text("utf-8")
            )

    def _answer(self, request: str) -> str:
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        alarm = threading.Timer(SECONDS, os.killpg, (self.process.pid, signal.SIGKILL))
        alarm.start()
        try:
            self.process.stdin.write(f"{request}\n")
            self.process.stdin.flush()
            return self.process.stdout.readline()
        finally:
            alarm.cancel()


@cache
def libraries() -> Preloaded:
    """Return a process with LeRobot, transformers and torch."""
    home = TemporaryDirectory()
    atexit.register(home.cleanup)
    own = {"HF_HOME": home.name, "HF_LEROBOT_HOME": f"{home.name}/lerobot"}
    return Preloaded(LIBRARIES, os.environ | OFFLINE | own)


@cache
def tool() -> Preloaded:
    """Return a process with all commands of the tool, in which warnings are errors."""
    path = str(Path(ckpt_tools.__file__).parents[1])
    own = {"PYTHONPATH": path, "PYTHONWARNINGS": "error", "PYTHONUTF8": "1"}
    return Preloaded(TOOL, os.environ | own)


def ckpt(
    *arguments: object, folder: Path | None = None, env: Mapping[str, str] | None = None
) -> Done:
    """Run `ckpt` in a folder; with `env`, in an environment of its own."""
    return tool().run("-m", "ckpt_tools", *arguments, folder=folder, env=env or dict(os.environ))


def python(*arguments: object, check: bool = True) -> Done:
    """Run a program that uses LeRobot or transformers.

    With `check`, a failure fails the test and shows the output.
    """
    done = libraries().run(*arguments)
    return checked(done) if check else done


def checked(done: Done) -> Done:
    """Fail the test with what a program printed, if it failed."""
    if done.returncode:
        pytest.fail(
            f"{done.args} ended with {done.returncode}:\n"
            f"{done.stdout[-3000:]}\n{done.stderr[-6000:]}"
        )
    return done


def answers(script: Path, workspace: Path) -> dict[str, Any]:
    """Run a script that leaves its answers in a workspace, and return them."""
    python(script, workspace)
    found: dict[str, Any] = json.loads((workspace / "answers.json").read_text(encoding="utf-8"))
    return found
