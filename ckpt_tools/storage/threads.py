"""A pool of threads: each takes the next waiting task; the first failure stops them all."""

from __future__ import annotations

import os
import threading
from collections import deque
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from concurrent.futures import Future

type Task = tuple[Callable[..., object], tuple[object, ...]]
"""A function and its arguments."""


def cores() -> int:
    """Return how many cores this process may use."""
    with suppress(AttributeError):  # macOS has no process affinity
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def ahead[T, R](function: Callable[[T], R], items: Iterable[T], size: int) -> Iterator[R]:
    """Yield the results of a function in the order of the items, `size` being done at a time.

    Items are taken as results are, so there may be any number. Raises what the function raises.
    """
    with ThreadPoolExecutor(size) as pool:
        begun: deque[Future[R]] = deque()
        try:
            for item in items:
                begun.append(pool.submit(function, item))
                if len(begun) >= size:
                    yield begun.popleft().result()
            while begun:
                yield begun.popleft().result()
        finally:
            for one in begun:
                one.cancel()


class WorkerPool:
    """`size` threads, one per core by default; the calling thread is one of them.

    Tasks must call `advance` often, since it also stops them after another task's failure.
    """

    def __init__(self, size: int | None, progress: Callable[[int], None]) -> None:
        self.size = size or cores()
        self._lock = threading.Lock()
        self._progress = progress
        self._failure: BaseException | None = None

    def advance(self, nbytes: int) -> None:
        """Report progress, one thread at a time. Raises _Stopped after the first failure."""
        with self._lock:
            if self._failure:
                raise _Stopped
            try:
                self._progress(nbytes)
            except BaseException as error:
                self._failure = error  # before the lock is released: waiting threads must stop
                raise

    def do(self, tasks: Iterable[Task]) -> None:
        """Do all tasks, in about this order.

        When all threads have ended, raises what the first failed task raised.
        """
        waiting = list(tasks)
        rest = iter(waiting)
        others = [threading.Event() for _ in range(min(self.size, len(waiting)) - 1)]
        for end in others:
            threading.Thread(target=self._work, args=(rest, end), daemon=True).start()
        self._work(rest, threading.Event())
        for end in others:
            self._await(end)
        if self._failure:
            raise self._failure

    def _await(self, end: threading.Event) -> None:
        # Not Thread.join: once interrupted it takes the thread for ended (python/cpython 90882).
        while not end.is_set():
            try:
                end.wait()
            except BaseException as error:  # noqa: BLE001 - Ctrl-C: stops the other threads
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
        except BaseException as error:  # noqa: BLE001 - Ctrl-C too must stop the other threads
            self._failure = self._failure or error
        finally:
            end.set()


class _Stopped(Exception):
    """Another task has failed."""
