"""Work on the bytes of tensors, block by block: threads, the memory that each works in, and how bytes get there."""

from __future__ import annotations

import importlib
from functools import cached_property
from typing import TYPE_CHECKING, Any, NamedTuple

from ckpt_tools.store import sums
from ckpt_tools.store.copying import read_into
from ckpt_tools.store.numbers import BLOCK, Space
from ckpt_tools.store.team import cores

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from ckpt_tools.records.dtype import Dtype

STEP = 1 << 18
"""Bytes per block: enough that Python's own time does not show, little enough to be still in a core's cache when they are added up."""

MOST_THREADS = 16
"""Each has half a megabyte, and eight more where numpy decodes."""


def threads() -> int:
    """Return how many threads there are: one for each core that this process may use."""
    return min(cores(), MOST_THREADS)


class Place(NamedTuple):
    """Where a tensor's bytes are: an open file, and the offset of the first in it."""

    descriptor: int
    start: int
    dtype: Dtype

    def read(self, memory: sums.Memory, block: range) -> memoryview:
        """Return the bytes of these elements, in `memory`. Raises ChangedUnderneath or Unreadable."""
        length, offset = len(block) * self.dtype.bits // 8, self.start + block.start * self.dtype.bits // 8
        data = memory.view[:length]
        done = read_into(self.descriptor, data, offset)
        while done < length:
            done += read_into(self.descriptor, data[done:], offset + done)
        return data


class Bench:
    """The memory that a thread works in: for a block of each of two tensors, and what it is decoded to."""

    def __init__(self) -> None:
        self.memories = sums.Memory(STEP), sums.Memory(STEP)

    @cached_property
    def np(self) -> Any:  # noqa: ANN401 - numpy, which most tensors need not wait for
        """Return numpy."""
        return importlib.import_module("numpy")

    @cached_property
    def spaces(self) -> tuple[Space, Space]:
        """Return where each is decoded."""
        return Space(self.np), Space(self.np)


class Crew:
    """Threads, and a bench for each: both are there from the first task on, for where all is known from before there is none."""

    def __init__(self) -> None:
        self._pool: Any = None
        self._benches: Any = None

    def submit(self, work: Callable[..., object], *arguments: object, **keywords: object) -> Any:  # noqa: ANN401 - a future, imported late
        """Return the future of `work(bench, *arguments, **keywords)`."""
        if self._pool is None:
            self._pool = importlib.import_module("concurrent.futures").ThreadPoolExecutor(threads())
            self._benches = importlib.import_module("queue").SimpleQueue()
            for _ in range(threads()):
                self._benches.put(Bench())
        return self._pool.submit(self._do, work, arguments, keywords)

    def _do(self, work: Callable[..., object], arguments: tuple[object, ...], keywords: dict[str, object]) -> object:
        bench = self._benches.get()
        try:
            return work(bench, *arguments, **keywords)
        finally:
            self._benches.put(bench)

    def end(self) -> None:
        """Let the threads finish what they are at, and no more."""
        if self._pool is not None:
            self._pool.shutdown(cancel_futures=True)


def blocks(elements: range, *dtypes: Dtype) -> Iterator[range]:
    """Yield the elements in blocks of at most BLOCK of them, and at most STEP bytes of any of the dtypes."""
    size = min(BLOCK, STEP * 8 // max(dtype.bits for dtype in dtypes) // 64 * 64)  # whole bytes also of elements of four and six bits
    yield from (range(first, min(first + size, elements.stop)) for first in range(elements.start, elements.stop, size))
