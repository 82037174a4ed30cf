"""Runs the tasks of an audit on a Ray cluster. The only module that imports ray.

The cluster is the one that `ray.init()` finds: RAY_ADDRESS, or one of this machine.
"""

from __future__ import annotations

import os
import warnings
from contextlib import suppress
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

from ckpt_tools.audit.engines.folder import WorkFolder, work
from ckpt_tools.audit.engines.tasks import TaskEngine
from ckpt_tools.errors import EngineFailed, EngineMissing

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence


class RayLauncher:
    """Starts tasks as Ray's, each on one processor of the cluster."""

    def __init__(self, folder: WorkFolder, examine: Callable[[str], str]) -> None:
        """Connect to the cluster. `examine` is a function that workers import by its name."""
        found = find_spec("ray")
        if found is None or found.origin is None:  # a folder of that name is no library
            raise EngineMissing("the engine ray needs ray, which is not installed")
        import ray  # noqa: PLC0415 - optional, and slow to import

        self._ray: Any = ray
        self._is_ours = not ray.is_initialized()
        if self._is_ours:
            try:
                with warnings.catch_warnings(category=FutureWarning, action="ignore"):
                    ray.init(log_to_driver=False, logging_level="error")  # warns of GPUs, unused
            except (ConnectionError, RuntimeError, ValueError) as error:
                raise EngineFailed(
                    f"no Ray cluster answers: {str(error).splitlines()[0]}",
                    hint="start one with `ray start --head`, and set RAY_ADDRESS",
                ) from None
        self._arguments = (folder.root, os.getcwd(), examine)
        # What ends a worker is repeated by the engine, which divides the batch.
        self._work = ray.remote(num_cpus=1, max_retries=0, scheduling_strategy="SPREAD")(_work)
        self._running: dict[Any, str] = {}
        self._causes: dict[str, str] = {}

    @property
    def processors(self) -> int:
        """How many tasks the cluster runs at a time."""
        return max(int(self._ray.cluster_resources().get("CPU", 1)), 1)

    def start(self, prefix: str, number: int) -> None:
        """Submit `number` tasks."""
        for position in range(number):
            task = f"{prefix}.{position}"
            self._running[self._work.remote(task, *self._arguments)] = task

    def ended(self) -> Sequence[str]:
        """Wait for a task, and return it with all others that have ended."""
        self._ray.wait(list(self._running), num_returns=1)
        ready, _ = self._ray.wait(list(self._running), num_returns=len(self._running), timeout=0)
        return [self._finished(reference) for reference in ready]

    def why(self, task: str) -> str:
        """Return the error that Ray gives for the task."""
        return self._causes.get(task, "without an error")

    def stop(self) -> None:
        """Cancel what still runs, and leave the cluster."""
        for reference in self._running:
            self._ray.cancel(reference, force=True)
        self._running.clear()
        if self._is_ours:
            self._ray.shutdown()

    def _finished(self, reference: Any) -> str:  # noqa: ANN401 - Ray's, which may not be installed
        task = self._running.pop(reference)
        try:
            self._ray.get(reference)
        except Exception as error:  # noqa: BLE001 - whatever ended the worker: its results tell
            lines = str(error).strip().splitlines() or [""]
            self._causes[task] = f"{type(error).__name__}: {lines[-1].strip()}"
        return task


def ray_engine(folder: WorkFolder, jobs: int, examine: Callable[[str], str]) -> TaskEngine:
    """Return the engine, with `jobs` tasks at a time. Raises EngineMissing or EngineFailed."""
    launcher = RayLauncher(folder, examine)
    return TaskEngine(folder, launcher, tasks=jobs or 2 * launcher.processors, batches=1)


def _work(task: str, root: str, folder: str, examine: Callable[[str], str]) -> None:
    """Do a task in the folder in which the audit was started, where relative paths begin."""
    with suppress(OSError):  # a machine without it can still check what has absolute paths
        os.chdir(folder)
    work(WorkFolder(root), task, examine)
