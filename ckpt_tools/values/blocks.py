"""Work on the bytes of tensors, block by block.

How many threads, the memory that each works in, and how bytes get there.
"""

from __future__ import annotations

import importlib
from contextlib import contextmanager
from functools import cached_property
from typing import TYPE_CHECKING, Any, NamedTuple

from ckpt_tools.errors import CkptError
from ckpt_tools.storage.copy import read_into
from ckpt_tools.storage.threads import cores
from ckpt_tools.values import kernels
from ckpt_tools.values.dtypes import BLOCK, DecodeBuffers

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ckpt_tools.checkpoint.dtype import Dtype

STEP = 1 << 18
"""Bytes per block.

Enough that Python's own time does not show, little enough to be still in a core's cache when they
are added up.
"""

PIECE = 32 * BLOCK
"""Elements that a thread takes at a time.

Large tensors are shared among threads, small ones wait for nobody, and whoever interrupts is heard.
"""

MOST_THREADS = 16
"""Each has half a megabyte, and eight more where numpy decodes."""


def threads() -> int:
    """Return how many threads there are: one for each core that this process may use."""
    return min(cores(), MOST_THREADS)


class Span(NamedTuple):
    """Where a tensor's bytes are: in which file, open, from which offset on."""

    path: str
    descriptor: int
    start: int
    dtype: Dtype

    def read(self, memory: kernels.Memory, block: range) -> memoryview:
        """Return the bytes of these elements, in `memory`.

        Raises ChangedDuringRead or Unreadable with the path of the file.
        """
        length, offset = (
            len(block) * self.dtype.bits // 8,
            self.start + block.start * self.dtype.bits // 8,
        )
        data, done = memory.view[:length], 0
        try:
            while done < length:
                done += read_into(self.descriptor, data[done:], offset + done)
        except CkptError as error:
            raise error.at(self.path) from None
        return data

    def source(self, memory: kernels.Memory, first: int = 0) -> kernels.Source:
        """Return the bytes from element `first` on, for `kernels.c` to read into `memory`."""
        return kernels.Source(self.descriptor, self.start + first * self.dtype.bits // 8, memory)


class ScratchBuffers:
    """The memory that a thread works in.

    For a block of each of two tensors, and what it is decoded to.
    """

    def __init__(self) -> None:
        self.memories = kernels.Memory(STEP), kernels.Memory(STEP)

    @cached_property
    def np(self) -> Any:  # noqa: ANN401 - numpy, which most tensors need not wait for
        """Return numpy."""
        return importlib.import_module("numpy")

    @cached_property
    def spaces(self) -> tuple[DecodeBuffers, DecodeBuffers]:
        """Return where each is decoded."""
        return DecodeBuffers(self.np), DecodeBuffers(self.np)


class BufferPool:
    """As many benches as threads work at a time."""

    def __init__(self) -> None:
        self._free: list[ScratchBuffers] = []

    @contextmanager
    def one(self) -> Iterator[ScratchBuffers]:
        """Yield a bench that nobody else works at."""
        try:
            bench = self._free.pop()
        except IndexError:
            bench = ScratchBuffers()
        try:
            yield bench
        finally:
            self._free.append(bench)


def blocks(elements: range, *dtypes: Dtype) -> Iterator[range]:
    """Yield the elements in blocks of at most BLOCK of them, and at most STEP bytes of any of the dtypes."""
    size = min(
        BLOCK, STEP * 8 // max(dtype.bits for dtype in dtypes) // 64 * 64
    )  # whole bytes also of elements of four and six bits
    yield from (
        range(first, min(first + size, elements.stop))
        for first in range(elements.start, elements.stop, size)
    )
