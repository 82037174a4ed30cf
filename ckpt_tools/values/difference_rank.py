"""The rank of the difference of two matrices, by a sample of rows and columns that fits a cache.

A product of thin matrices, as an adapter adds, has at most their inner rank in every part of it;
what training adds has full rank. A rank is counted above the noise that storing puts there: a
matrix of rounding errors of deviation s, of m rows and n columns, has no singular value above
s (sqrt m + sqrt n). What is left below must be of the size of that noise, or the rank is full.
The same two files always give the same ranks.
"""

from __future__ import annotations

import os
from contextlib import ExitStack
from math import hypot, sqrt
from typing import TYPE_CHECKING

from ckpt_tools.checkpoint.dtype import Dtype
from ckpt_tools.checkpoint.read import refuse_other
from ckpt_tools.storage.files import open_regular
from ckpt_tools.values import kernels
from ckpt_tools.values.blocks import Span
from ckpt_tools.values.dtypes import MANTISSA, decode
from ckpt_tools.values.lazy import np
from ckpt_tools.values.model import DifferenceRank, matrix_sides

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ckpt_tools.checkpoint.model import Checkpoint, Tensor, TensorFile
    from ckpt_tools.values.dtypes import Array

MOST_SIDE = 256
"""Rows and columns of a sample: its singular values take some ten milliseconds."""

_EDGE = 1.1
"""Above the largest singular value of pure noise, whose spread is a few percent at these sizes."""

_LEFT = 1.2
"""How much more than the noise of storing may be left below a low rank."""

_ADDED = 2.0**-9
"""The relative rounding of the difference itself, where it was computed in BF16 and then added."""


def difference_ranks(
    a: Checkpoint, b: Checkpoint, pairs: Sequence[tuple[Tensor, Tensor]]
) -> tuple[DifferenceRank, ...]:
    """Return the rank of the difference of each pair of float matrices of one shape.

    A matrix with NaN or infinities in its sample is left out, and one of which most rows are
    equal: a few rows have a low rank whatever was added. Raises Unreadable or ChangedDuringRead.
    """
    with ExitStack() as stack:
        sides = [_Side(side, stack) for side in (a, b)]
        found = [
            _rank(right.name, sides[0].sample(left), sides[1].sample(right))
            for left, right in pairs
        ]
    return tuple(rank for rank in found if rank is not None)


class _Side:
    """The weight files of a checkpoint, opened as they are needed."""

    def __init__(self, checkpoint: Checkpoint, stack: ExitStack) -> None:
        self._root, self._stack = checkpoint.root, stack
        self._files = {file.path: file for file in checkpoint.weights}
        self._open: dict[str, tuple[str, int, TensorFile]] = {}
        self._memory = kernels.Memory(MOST_SIDE * 8)

    def sample(self, tensor: Tensor) -> tuple[Array, Dtype]:
        """Return rows spread over the tensor, of each some columns from its middle, as doubles."""
        path, descriptor, file = self._file(tensor.shard)
        span = Span(path, descriptor, file.payload_start + tensor.start, tensor.dtype)
        rows, columns = matrix_sides(tensor)
        width = min(columns, MOST_SIDE)
        first = (columns - width) // 2
        height = min(rows, MOST_SIDE)
        chosen = (index * rows // height for index in range(height))
        sample = [self._row(span, row * columns + first, width) for row in chosen]
        return np.stack(sample), tensor.dtype

    def _row(self, span: Span, first: int, width: int) -> Array:
        data = np.frombuffer(span.read(self._memory, range(first, first + width)), "u1")
        return decode(data, span.dtype).astype("<f8")

    def _file(self, shard: str) -> tuple[str, int, TensorFile]:
        if shard not in self._open:
            file = self._files[shard]
            path = os.path.join(self._root, file.path)
            descriptor, _ = self._stack.enter_context(open_regular(path))
            refuse_other(file, descriptor, path)
            self._open[shard] = path, descriptor, file
        return self._open[shard]


def _rank(name: str, one: tuple[Array, Dtype], two: tuple[Array, Dtype]) -> DifferenceRank | None:
    difference = two[0] - one[0]
    with np.errstate(all="ignore"):
        if not np.isfinite(difference).all():
            return None
    if 2 * np.count_nonzero(difference.any(axis=1)) < len(difference):
        return None
    rows, columns = difference.shape
    values = np.linalg.svd(difference, compute_uv=False)
    noise = hypot(
        max(_rounding(*one), _rounding(*two)),
        _ADDED * sqrt(float(np.mean(np.square(difference)))) / sqrt(3),
    )
    rank = int(np.count_nonzero(values > _EDGE * noise * (sqrt(rows) + sqrt(columns))))
    left = float(np.sum(np.square(values[rank:])))
    if left > (_LEFT * noise) ** 2 * (rows - rank) * (columns - rank):
        rank = min(rows, columns)
    return DifferenceRank(name, rank, rows, columns)


def _rounding(values: Array, dtype: Dtype) -> float:
    """Return the deviation of the rounding errors of these values, as their dtype stores them.

    Values of a wide dtype that fit BF16 were rounded to it before.
    """
    bits = MANTISSA[dtype]
    if dtype is Dtype.F32 and not (values.astype("<f4").view("<u4") & 0xFFFF).any():
        bits = MANTISSA[Dtype.BF16]
    _, exponents = np.frexp(values)
    units = np.ldexp(1.0, exponents - 1 - bits)
    return sqrt(float(np.mean(np.square(units[values != 0]))) / 12) if values.any() else 0.0
