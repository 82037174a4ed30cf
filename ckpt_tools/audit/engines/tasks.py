"""Runs batches as tasks of a cluster, through a work folder: what Slurm and Ray have in common.

Whether a task succeeded is told by the results that it left, and by nothing else. A batch without
one is repeated: first alone, then one item at a time, and an item that twice leaves no result is
given up. A worker that does not even start says nothing about its batches; after a few the run
ends.
"""

from __future__ import annotations

import json
import os
from itertools import batched
from typing import TYPE_CHECKING, NamedTuple, Protocol

from ckpt_tools.audit.batches import (
    divided,
    given_up,
    joined,
    parse_batch,
    parse_result,
    result_text,
)
from ckpt_tools.audit.engines.folder import key_of
from ckpt_tools.errors import EngineFailed

if TYPE_CHECKING:
    from collections.abc import Generator, Iterable, Iterator

    from ckpt_tools.audit.engines.folder import WorkFolder

AT_ONCE = 1000
"""Tasks in one submission: Slurm's default limit of an array."""

_ATTEMPTS = 2
"""How often a batch is tried before it is divided, and an item before it is given up."""

_LOST = 3
"""How often the task of a batch may end before its worker runs."""


class Launcher(Protocol):
    """What starts workers on a cluster."""

    def start(self, prefix: str, number: int) -> None:
        """Start a worker for each of the tasks `prefix.0`, `prefix.1` and so on."""

    def ended(self) -> Iterable[str]:
        """Wait until a worker has ended, in whatever way, and return the tasks of all that have."""

    def why(self, task: str) -> str:
        """Return what is known of how the worker of a task ended, as part of a sentence."""

    def stop(self) -> None:
        """End all workers."""


class _Waiting(NamedTuple):
    """A batch without a result: its number, its items, how often a worker tried it and ended.

    `lost` is how often none even started. Of a part of a divided batch, `whole` is the key of that.
    """

    number: int
    items: int
    attempts: int = 0
    lost: int = 0
    whole: str = ""


class TaskEngine:
    """Runs batches as tasks of `batches` each, with at most `tasks` of them at a time."""

    def __init__(self, folder: WorkFolder, launcher: Launcher, *, tasks: int, batches: int) -> None:
        self._folder = folder
        self._launcher = launcher
        self._ahead = tasks * batches
        self._batches = batches
        self._name = os.urandom(4).hex()
        self._submissions = 0
        self._tasks: dict[str, list[str]] = {}
        self._waiting: dict[str, _Waiting] = {}
        self._parts: dict[str, dict[str, str]] = {}

    def run(self, batches: Iterator[str]) -> Generator[str]:
        """Yield the result of each batch. Raises EngineFailed, or a CkptError about the folder."""
        done = self._folder.names("results")
        try:
            while True:
                yield from self._fill(batches, done)
                if not self._tasks:
                    return
                again: list[str] = []
                for task in self._launcher.ended():
                    yield from self._collect(task, again)
                self._start([key] for key in again)
        finally:
            self._launcher.stop()

    def _fill(self, batches: Iterator[str], done: frozenset[str]) -> Iterator[str]:
        """Start tasks for as many new batches as there is room for; yield what was done before."""
        new: list[str] = []
        while len(self._waiting) < self._ahead:
            batch = next(batches, None)
            if batch is None:
                break
            key = self._await(batch)
            result = self._result(key) if key in done else None
            if result is None:
                new.append(key)
            else:
                yield from self._taken(key, result)
        self._start(list(keys) for keys in batched(new, self._batches))

    def _await(self, batch: str, whole: str = "") -> str:
        """Write a batch into the folder and return its key."""
        key, parsed = key_of(batch), parse_batch(batch)
        self._folder.write("batches", key, batch)
        self._waiting[key] = _Waiting(parsed.number, len(parsed.items), whole=whole)
        return key

    def _start(self, tasks: Iterable[list[str]]) -> None:
        for submission in batched(tasks, AT_ONCE):
            prefix = f"{self._name}-{self._submissions}"
            self._submissions += 1
            for position, keys in enumerate(submission):
                name = f"{prefix}.{position}"
                self._tasks[name] = keys
                self._folder.write("tasks", f"{name}.json", json.dumps(keys))
            self._launcher.start(prefix, len(submission))

    def _collect(self, task: str, again: list[str]) -> Iterator[str]:
        """Yield the results of a task that ended; add to `again` what has to be repeated."""
        started = self._folder.read("started", task) is not None
        for key in self._tasks.pop(task):
            result = self._result(key)
            if result is not None:
                yield from self._taken(key, result)
            elif started:
                yield from self._repeat(key, task, again)
            else:
                self._lose(key, task)
                again.append(key)
        self._folder.remove(("tasks", f"{task}.json"), ("started", task))

    def _lose(self, key: str, task: str) -> None:
        """Count a task that ended before its worker ran."""
        waiting = self._waiting[key]
        self._waiting[key] = waiting._replace(lost=waiting.lost + 1)
        if waiting.lost + 1 >= _LOST:
            raise EngineFailed(
                f"workers end before they run ({self._launcher.why(task)})",
                path=self._folder.root,
                hint="check that the cluster's machines have this folder and this Python",
            )

    def _repeat(self, key: str, task: str, again: list[str]) -> Iterator[str]:
        """Have a batch tried once more, alone or divided, or yield that it is given up."""
        waiting = self._waiting[key]
        attempts = waiting.attempts + 1
        self._waiting[key] = waiting._replace(attempts=attempts)
        batch = self._folder.read("batches", key)
        if batch is None:
            raise EngineFailed("a file of this run was removed", path=self._folder.root)
        if attempts < _ATTEMPTS:
            again.append(key)
        elif waiting.items > 1:
            parts = [self._await(part, whole=key) for part in divided(batch)]
            self._parts[key] = dict.fromkeys(parts, "")
            again += parts
        else:
            reason = f"its check ended the worker ({self._launcher.why(task)})"
            yield from self._taken(key, given_up(batch, reason))

    def _taken(self, key: str, result: str) -> Iterator[str]:
        """Yield a result, or nothing while other parts of its batch have none, and clean up."""
        waiting = self._waiting.pop(key)
        if waiting.whole:
            parts = self._parts[waiting.whole]
            parts[key] = result
            if all(parts.values()):
                del self._parts[waiting.whole]
                yield from self._taken(waiting.whole, joined(parts.values()))
        else:
            yield result
        # The run has written it into its file: what was killed before this takes it again.
        self._folder.remove(("batches", key), ("results", key))

    def _result(self, key: str) -> str | None:
        """Return the result of a batch, with the number that this run gave it, None without one."""
        text, waiting = self._folder.read("results", key), self._waiting[key]
        if text is None:
            return None
        try:
            result = parse_result(text)
        except (ValueError, TypeError, KeyError, AttributeError):
            result = None
        if result is None or len(result.records) != waiting.items:
            self._folder.remove(("results", key))  # else a worker takes it as done
            return None
        return result_text(result._replace(number=waiting.number))
