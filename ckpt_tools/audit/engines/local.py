"""Runs batches in processes of this machine."""

from __future__ import annotations

import queue
import signal
import subprocess
import sys
import threading
from contextlib import suppress
from typing import TYPE_CHECKING

from ckpt_tools.audit.batches import divided, given_up, joined, parse_wait
from ckpt_tools.storage.threads import cores

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

WORKER = (sys.executable, "-m", "ckpt_tools", "audit", "work", "-")
"""A worker reads batches from its standard input, one a line, and writes their results."""

_WAITING = 2
"""Batches in flight for each worker: one that is checked, and the next."""

_LAST_BREATH = 2.0
"""Seconds that a process that closed its output has to end by itself."""


def ignore_wait(_: float) -> None:
    """Do nothing with the seconds that a worker waits."""


class LocalEngine:
    """Worker processes, each fed by a thread that waits for it.

    A batch that ends its worker is repeated one item at a time by new ones, and the item that ends
    one again is given up.
    """

    def __init__(
        self,
        jobs: int = 0,
        command: Sequence[str] = WORKER,
        waits: Callable[[float], None] = ignore_wait,
    ) -> None:
        """Take the number of processes, by default one for each processor that may be used.

        `waits` gets the seconds whenever the Hub makes a worker wait, in any thread.
        """
        self.jobs = jobs or cores()
        self._command = command
        self._waits = waits

    def run(self, batches: Iterator[str]) -> Iterator[str]:
        """Yield the result of each batch as it is ready. Few batches are taken ahead."""
        waiting: queue.SimpleQueue[str | None] = queue.SimpleQueue()
        results: queue.SimpleQueue[str | BaseException] = queue.SimpleQueue()
        workers: list[_Worker] = []
        in_flight = 0
        try:
            while True:
                while in_flight < self.jobs * _WAITING and (batch := next(batches, None)):
                    waiting.put(batch)
                    in_flight += 1
                    if len(workers) < min(self.jobs, in_flight):
                        workers.append(_Worker(self._command, waiting, results, self._waits))
                if not in_flight:
                    return
                result = results.get()
                if isinstance(result, BaseException):
                    raise result
                in_flight -= 1
                yield result
        finally:
            for _ in workers:
                waiting.put(None)
            for worker in workers:
                worker.stop()


class _Worker:
    """A process and the thread that feeds it."""

    def __init__(
        self,
        command: Sequence[str],
        waiting: queue.SimpleQueue[str | None],
        results: queue.SimpleQueue[str | BaseException],
        waits: Callable[[float], None],
    ) -> None:
        self._command = command
        self._waits = waits
        self._process: subprocess.Popen[bytes] | None = None
        self._is_stopped = False
        self._thread = threading.Thread(target=self._work, args=(waiting, results), daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """End the process, whatever it does, and wait for the thread."""
        self._is_stopped = True
        process = self._process
        if process is not None:
            process.kill()
        self._thread.join()
        self._end()

    def _work(
        self,
        waiting: queue.SimpleQueue[str | None],
        results: queue.SimpleQueue[str | BaseException],
    ) -> None:
        try:
            while not self._is_stopped and (batch := waiting.get()) is not None:
                results.put(self._result(batch))
        except BaseException as error:  # noqa: BLE001 - raised again in the thread of the caller
            results.put(error)

    def _result(self, batch: str) -> str:
        result = self._asked(batch)
        if result is not None:
            return result
        code = self._end()
        parts = divided(batch)
        if len(parts) > 1:
            return joined([self._result(part) for part in parts])
        return given_up(batch, f"its check ended the worker ({_cause(code)})")

    def _asked(self, batch: str) -> str | None:
        """Return the worker's answer, None if it died."""
        if self._is_stopped:
            return given_up(batch, "interrupted")
        if self._process is None:
            self._process = subprocess.Popen(  # noqa: S603 - this tool
                self._command, stdin=subprocess.PIPE, stdout=subprocess.PIPE
            )
        try:
            line = _answer(self._process, f"{batch}\n")
            while (seconds := parse_wait(line)) is not None:
                self._waits(seconds)
                line = _answer(self._process)
        except OSError:
            line = ""
        return line if line.endswith("\n") else None

    def _end(self) -> int:
        """End the process and return its exit status, negative for a signal."""
        process, self._process = self._process, None
        if process is None:
            return 0
        with process:
            with suppress(subprocess.TimeoutExpired):
                return process.wait(0 if self._is_stopped else _LAST_BREATH)
            process.kill()
        return process.returncode


def _answer(process: subprocess.Popen[bytes], request: str = "") -> str:
    """Send a request, if there is one, and return the next line, incomplete if the worker died."""
    assert process.stdin is not None  # noqa: S101 - a pipe, as asked for
    assert process.stdout is not None  # noqa: S101 - a pipe, as asked for
    process.stdin.write(request.encode())
    process.stdin.flush()
    return process.stdout.readline().decode()


def _cause(code: int) -> str:
    if code == -signal.SIGKILL:
        return "killed; perhaps the machine has not enough memory"
    return f"signal {-code}" if code < 0 else f"exit status {code}"
