"""Runs the tasks of an audit as array jobs of Slurm.

Slurm starts a preempted or lost task again by itself (`--requeue`). Partition, account, time and
memory come from sbatch's own variables, such as SBATCH_PARTITION and SBATCH_TIMELIMIT.

The output of tasks is in `logs/` of the work folder. Where that is a bucket, or SBATCH_OUTPUT is
set, it is where that says.
"""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
import time
from shutil import which
from typing import TYPE_CHECKING

from ckpt_tools.audit.engines.tasks import TaskEngine
from ckpt_tools.errors import EngineFailed, EngineMissing

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ckpt_tools.audit.engines.folder import WorkFolder

WORKERS = 32
"""Tasks at a time by default; the cluster's own limits may be lower."""

BATCHES = 8
"""Batches in a task: starting one takes as long as checking a batch."""

_JOB = "ckpt-audit-"
_OUTPUT = "SBATCH_OUTPUT"

_QUICKEST, _SLOWEST = 0.5, 10.0
"""Seconds between two questions to the scheduler, which grow while nothing ends."""

_SILENT = 60
"""Questions in a row that the scheduler may leave unanswered: ten minutes."""


class SlurmLauncher:
    """Starts tasks with sbatch and asks squeue which have ended."""

    def __init__(self, folder: WorkFolder, workers: int) -> None:
        for command in ("sbatch", "squeue", "scancel"):
            if which(command) is None:
                raise EngineMissing(
                    f"the engine slurm needs {command}, which is not installed",
                    hint="run it on a machine from which jobs are submitted",
                )
        self._folder = folder
        self._workers = workers
        self._running: set[str] = set()

    def start(self, prefix: str, number: int) -> None:
        """Submit an array of `number` tasks."""
        answer = _ask(
            "sbatch",
            f"--job-name={_JOB}{prefix}",
            f"--array=0-{number - 1}%{self._workers}",
            *("--requeue", "--open-mode=append", "--ntasks=1"),
            *self._output(prefix),
            script=self._script(prefix),
        )
        if answer.returncode:
            raise EngineFailed(
                f"sbatch does not accept a job: {_last_line(answer.stderr)}",
                hint="set what it asks for, such as SBATCH_PARTITION and SBATCH_ACCOUNT",
            )
        self._running |= {f"{prefix}.{position}" for position in range(number)}

    def ended(self) -> Sequence[str]:
        """Wait until the scheduler does not list a task any more."""
        pause, unanswered = _QUICKEST, 0
        while True:
            answer = _ask("squeue", "--me", "--noheader", "--array", "--format=%j.%K")
            unanswered = unanswered + 1 if answer.returncode else 0
            if unanswered > _SILENT:
                raise EngineFailed(f"squeue does not answer: {_last_line(answer.stderr)}")
            if not answer.returncode:
                listed = {line.strip().removeprefix(_JOB) for line in answer.stdout.splitlines()}
                gone = sorted(self._running - listed)
                self._running -= set(gone)
                if gone:
                    return gone
            time.sleep(pause)
            pause = min(2 * pause, _SLOWEST)

    def why(self, task: str) -> str:
        """Say where the output of the task is."""
        if named := os.environ.get(_OUTPUT):
            return f"its output is in the file of {_OUTPUT}, {named}"
        if not self._folder.is_local:
            return f"its output is not kept; set {_OUTPUT} to a file on the cluster"
        return f"see {self._logs}/{task}.log"

    def stop(self) -> None:
        """Cancel what still waits or runs."""
        for prefix in sorted({task.rpartition(".")[0] for task in self._running}):
            _ask("scancel", f"--name={_JOB}{prefix}")
        self._running.clear()

    def _script(self, prefix: str) -> str:
        command = (sys.executable, "-m", "ckpt_tools", "audit", "work", self._folder.root)
        return f'#!/bin/sh\nexec {shlex.join(command)} {prefix}."$SLURM_ARRAY_TASK_ID"\n'

    def _output(self, prefix: str) -> tuple[str, ...]:
        """Return the option for where output goes, none if sbatch's variable names it."""
        if os.environ.get(_OUTPUT):
            return ()
        if not self._folder.is_local:  # sbatch writes into files only
            return (f"--output={os.devnull}",)
        os.makedirs(self._logs, exist_ok=True)
        return (f"--output={self._logs.replace('%', '%%')}/{prefix}.%a.log",)

    @property
    def _logs(self) -> str:
        return os.path.join(self._folder.root, "logs")


def slurm_engine(folder: WorkFolder, jobs: int) -> TaskEngine:
    """Return the engine, with `jobs` tasks at a time. Raises EngineMissing."""
    workers = jobs or WORKERS
    launcher = SlurmLauncher(folder, workers)
    return TaskEngine(folder, launcher, tasks=2 * workers, batches=BATCHES)


def _ask(command: str, *arguments: str, script: str = "") -> subprocess.CompletedProcess[str]:
    return subprocess.run(  # noqa: S603 - Slurm's own commands
        (command, *arguments), input=script, capture_output=True, text=True, check=False
    )


def _last_line(text: str) -> str:
    return next((line for line in reversed(text.splitlines()) if line.strip()), "no reason given")
