"""Work shared among threads: each takes the next task that is waiting.

The first that fails stops them all.
"""

from __future__ import annotations

import importlib
import os
from contextlib import suppress
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import threading
    from collections.abc import Callable, Iterable, Iterator

type Task = tuple[Callable[..., object], tuple[object, ...]]
"""A function and its arguments."""


def cores() -> int:
    """Return how many cores this process may use."""
    with suppress(AttributeError):  # macOS does not tie processes to cores
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


class WorkerPool:
    """`size` threads, one a core by default; the calling thread is one of them.

    Tasks have to `tell` of what they have done, and often.
    """

    def __init__(self, size: int | None, progress: Callable[[int], None]) -> None:
        self._threading = importlib.import_module("threading")
        self.size = size or cores()
        self._lock = self._threading.Lock()
        self._progress = progress
        self._failure: BaseException | None = None

    def tell(self, nbytes: int) -> None:
        """Pass progress on, one thread at a time, and none after the first that failed.

        Raises _Stopped where there is no point in going on.
        """
        with self._lock:
            if self._failure:
                raise _Stopped
            try:
                self._progress(nbytes)
            except BaseException as error:
                self._failure = (
                    error  # before the lock is free: whoever waits for it must not go on
                )
                raise

    def do(self, tasks: Iterable[Task]) -> None:
        """Do all tasks, in about this order.

        Raises what the first that failed has raised, when all threads have ended.
        """
        waiting = list(tasks)
        rest = iter(waiting)
        others = [self._threading.Event() for _ in range(min(self.size, len(waiting)) - 1)]
        for end in others:
            self._threading.Thread(target=self._work, args=(rest, end), daemon=True).start()
        self._work(rest, self._threading.Event())
        for end in others:
            self._await(end)
        if self._failure:
            raise self._failure

    def _await(self, end: threading.Event) -> None:
        while not end.is_set():  # not Thread.join, which takes a thread for ended once it was interrupted: python/cpython 90882
            try:
                end.wait()
            except BaseException as error:  # noqa: BLE001 - Ctrl-C: the others are still at work, and hear of it
                self._failure = self._failure or error

    def _next(self, tasks: Iterator[Task]) -> Task | None:
        with self._lock:
            return next(tasks, None)

    def _work(self, tasks: Iterator[Task], end: threading.Event) -> None:
        try:
            while not self._failure and (task := self._next(tasks)):
                function, arguments = task
                function(*arguments)
        except _Stopped:
            pass
        except BaseException as error:  # noqa: BLE001 - also Ctrl-C has to stop the others first
            self._failure = self._failure or error
        finally:
            end.set()


class _Stopped(Exception):
    """Another task has failed."""
