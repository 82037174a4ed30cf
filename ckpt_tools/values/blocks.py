"""Block by block access to the bytes of tensors, and the buffers that each thread reads into."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, NamedTuple

from ckpt_tools.errors import located
from ckpt_tools.storage.copy import fill
from ckpt_tools.storage.threads import cores
from ckpt_tools.values import kernels
from ckpt_tools.values.dtypes import BLOCK

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ckpt_tools.checkpoint.dtype import Dtype

STEP = 1 << 18
"""Bytes per block.

Enough that Python's own time does not show, few enough to be still in a core's cache when they are
added up.
"""

PIECE = 32 * BLOCK
"""Elements that a thread takes at a time.

Large tensors are shared among threads, small ones are not kept waiting, and an interrupt is served
soon.
"""

MOST_THREADS = 16
"""Each has half a megabyte, and some more where numpy decodes."""


def threads() -> int:
    """Return the number of threads: one for each core that this process may use."""
    return min(cores(), MOST_THREADS)


class Span(NamedTuple):
    """The bytes of a tensor: an open file, and the offset of the first."""

    path: str
    descriptor: int
    start: int
    dtype: Dtype

    def read(self, memory: kernels.Memory, block: range) -> memoryview:
        """Return the bytes of these elements, in `memory`.

        Raises ChangedDuringRead or Unreadable with the path of the file.
        """
        bits = self.dtype.bits
        data = memory.view[: len(block) * bits // 8]
        with located(self.path):
            fill(self.descriptor, data, self.start + block.start * bits // 8)
        return data

    def source(self, memory: kernels.Memory, first: int = 0) -> kernels.Source:
        """Return the bytes from element `first` on, for the kernel to read into `memory`."""
        return kernels.Source(self.descriptor, self.start + first * self.dtype.bits // 8, memory)


class Buffers(threading.local):
    """Memory for a block of each of two tensors, for each thread its own."""

    def __init__(self) -> None:
        self.a, self.b = kernels.Memory(STEP), kernels.Memory(STEP)


def blocks(elements: range, *dtypes: Dtype) -> Iterator[range]:
    """Yield the elements in blocks of at most BLOCK, and at most STEP bytes of any of the dtypes.

    A block is whole bytes, also of elements of four and six bits.
    """
    size = min(BLOCK, STEP * 8 // max(dtype.bits for dtype in dtypes) // 64 * 64)
    yield from (
        range(first, min(first + size, elements.stop))
        for first in range(elements.start, elements.stop, size)
    )
