"""Work shared among threads. The laws, each a test below:

- every task runs once, whatever the number of threads;
- the first failure is raised after all threads have ended, and no progress is reported after it;
- an interrupt is raised even while the calling thread only waits for the others.
"""

from __future__ import annotations

import signal
import threading
import time
from collections import Counter

import pytest

from ckpt_tools.storage.threads import WorkerPool


@pytest.mark.parametrize("size", [1, 2, 7])
@pytest.mark.parametrize("tasks", [0, 1, 100])
def test_every_task_runs_once(size: int, tasks: int) -> None:
    reported: list[int] = []
    pool = WorkerPool(size, reported.append)
    pool.do((pool.advance, (number,)) for number in range(tasks))
    assert Counter(reported) == Counter(range(tasks))


def test_the_first_failure_is_raised_after_all_threads_ended() -> None:
    failed, reported = threading.Event(), list[int]()
    pool = WorkerPool(3, reported.append)

    def fail() -> None:
        failed.set()
        raise LookupError

    def slow() -> None:
        assert failed.wait(60)
        time.sleep(0.05)
        reported.append(-1)
        pool.advance(0)
        reported.append(-2)

    with pytest.raises(LookupError):
        pool.do([(slow, ()), (slow, ()), (fail, ()), (slow, ())])
    assert reported == [-1, -1], (
        "those at work came to where they tell, and no further; what waited was not begun"
    )


def test_an_interrupt_is_raised_while_the_caller_waits_for_workers() -> None:
    calling_is_done, reported = threading.Event(), list[int]()
    pool = WorkerPool(2, reported.append)

    calling = threading.get_ident()

    def work() -> None:
        if threading.get_ident() == calling:
            calling_is_done.set()
            return
        assert calling_is_done.wait(60)
        time.sleep(0.05)  # the calling thread waits by now
        signal.pthread_kill(calling, signal.SIGINT)
        for number in range(10_000):
            time.sleep(0.001)
            pool.advance(number)

    with pytest.raises(KeyboardInterrupt):
        pool.do([(work, ()), (work, ())])
    ended = len(reported)
    assert ended < 10_000
    time.sleep(0.05)
    assert len(reported) == ended, "nobody is still at work"
