"""Work shared among threads. The laws, each a test below:

- all tasks are done, each once, whatever the number of threads;
- the first failure is what is raised, when all threads have ended, and nobody is told of anything
  after it;
- an interruption is heard also while the calling thread only waits for the others.
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
def test_all_tasks_are_done_once(size: int, tasks: int) -> None:
    told: list[int] = []
    team = WorkerPool(size, told.append)
    team.do((team.advance, (number,)) for number in range(tasks))
    assert Counter(told) == Counter(range(tasks))


def test_the_first_failure_is_raised_when_all_have_ended() -> None:
    failed, told = threading.Event(), list[int]()
    team = WorkerPool(3, told.append)

    def fail() -> None:
        failed.set()
        raise LookupError

    def slow() -> None:
        assert failed.wait(60)
        time.sleep(0.05)
        told.append(-1)
        team.advance(0)
        told.append(-2)

    with pytest.raises(LookupError):
        team.do([(slow, ()), (slow, ()), (fail, ()), (slow, ())])
    assert told == [-1, -1], (
        "those at work came to where they tell, and no further; what waited was not begun"
    )


def test_an_interruption_is_heard_while_the_calling_thread_waits_for_the_others() -> None:
    calling_is_done, told = threading.Event(), list[int]()
    team = WorkerPool(2, told.append)

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
            team.advance(number)

    with pytest.raises(KeyboardInterrupt):
        team.do([(work, ()), (work, ())])
    ended = len(told)
    assert ended < 10_000
    time.sleep(0.05)
    assert len(told) == ended, "nobody is still at work"
