"""The rank of the difference of two matrices, by a sample of rows and columns that fits a cache.

A product of thin matrices, as an adapter adds, has at most their inner rank in every part of it;
what training adds has full rank. A rank is counted above the noise that storing puts there: a
matrix of rounding errors of deviation s, of m rows and n columns, has no singular value above
s (sqrt m + sqrt n). What is left below must be of the size of that noise, or the rank is full.
The same two files always give the same ranks.
"""

from __future__ import annotations

from contextlib import ExitStack
from math import hypot, sqrt
from typing import TYPE_CHECKING

from ckpt_tools.checkpoint.dtype import Dtype
from ckpt_tools.values import kernels
from ckpt_tools.values.cache import KnownRanks
from ckpt_tools.values.compare import by_files, settle, span_of, watched
from ckpt_tools.values.dtypes import MANTISSA, decode
from ckpt_tools.values.lazy import np
from ckpt_tools.values.model import DifferenceRank, matrix_sides

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ckpt_tools.checkpoint.model import Checkpoint, Tensor
    from ckpt_tools.values.blocks import Span
    from ckpt_tools.values.compare import Pair, Sides
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
    a: Checkpoint, b: Checkpoint, pairs: Sequence[Pair], *, cached: bool = True
) -> tuple[DifferenceRank, ...]:
    """Return the rank of the difference of each pair of float matrices of one shape.

    A matrix with NaN or infinities in its sample is left out, and one of which most rows are
    equal: a few rows have a low rank whatever was added. `cached` uses and updates the user's cache
    folder. Raises Unreadable or ChangedDuringRead.
    """
    found: dict[Pair, DifferenceRank | None] = {}
    for sides, members in by_files(a, b, pairs):
        found |= _ranks_in_files(sides, members, cached=cached)
    return tuple(rank for pair in pairs if (rank := found[pair]) is not None)


def _ranks_in_files(
    sides: Sides, pairs: Sequence[Pair], *, cached: bool
) -> dict[Pair, DifferenceRank | None]:
    """Return the ranks of pairs of tensors in these two files, from the cache if possible."""
    with ExitStack() as stack:
        one, two = watched(sides, stack)
        known = KnownRanks(one, two, use=cached)
        found = {pair: known.get(*pair) for pair in pairs if pair in known}
        rest = [pair for pair in pairs if pair not in found]
        settle((one, two), sides, use=cached and bool(rest))
        memory = kernels.Memory(MOST_SIDE * 8)
        new = {
            (left, right): _rank(
                right.name,
                (_sample(span_of(one, sides[0], left), left, memory), left.dtype),
                (_sample(span_of(two, sides[1], right), right, memory), right.dtype),
            )
            for left, right in rest
        }
        one.check_unchanged()
        two.check_unchanged()
        known.add(new)
    return found | new


def _sample(span: Span, tensor: Tensor, memory: kernels.Memory) -> Array:
    """Return rows spread over a tensor, of each some columns from its middle, as doubles."""
    rows, columns = matrix_sides(tensor)
    width = min(columns, MOST_SIDE)
    first = (columns - width) // 2
    height = min(rows, MOST_SIDE)
    chosen = (index * rows // height * columns + first for index in range(height))
    return np.stack([_row(span, start, width, memory) for start in chosen])


def _row(span: Span, first: int, width: int, memory: kernels.Memory) -> Array:
    data = np.frombuffer(span.read(memory, range(first, first + width)), "u1")
    return decode(data, span.dtype).astype("<f8")


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
