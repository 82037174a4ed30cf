"""Work shared among threads. The laws, each a test below:

- every task runs once, whatever the number of threads;
- the first failure is raised after all threads have ended, and no progress is reported after it;
- an interrupt is raised even while the calling thread only waits for the others;
- what is done ahead comes in order, and little more is begun than was wanted.
"""

from __future__ import annotations

import signal
import threading
import time
from collections import Counter
from typing import TYPE_CHECKING

import pytest

from ckpt_tools.storage.threads import WorkerPool, ahead

if TYPE_CHECKING:
    from collections.abc import Iterator


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


def test_what_is_done_ahead_comes_in_order_and_no_sooner_than_it_is_wanted() -> None:
    taken: list[int] = []

    def numbers() -> Iterator[int]:
        for number in range(100):
            taken.append(number)
            yield number

    results = ahead(str, numbers(), 4)
    assert [next(results) for _ in range(3)] == ["0", "1", "2"]
    assert len(taken) <= 7
    assert [*results] == [str(number) for number in range(3, 100)]


def test_a_failure_ahead_is_raised_in_its_turn() -> None:
    results = ahead(lambda number: 1 // number, [2, 1, 0, 1], 4)
    assert [next(results), next(results)] == [0, 1]
    with pytest.raises(ZeroDivisionError):
        next(results)
