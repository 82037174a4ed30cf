"""What a piece of a pair of tensors adds to their facts: exact sums over blocks, in the memory of one thread, in the fewest passes over it; numpy only."""

from __future__ import annotations

import importlib
from math import fsum
from typing import TYPE_CHECKING, Any, NamedTuple

from ckpt_tools.records.dtype import Dtype
from ckpt_tools.store.copying import read_into
from ckpt_tools.store.numbers import BLOCK, INTEGERS, ZERO, Scaled, Space, dot, largest, native, product, total

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from ckpt_tools.store.numbers import Array

GLANCE = 1 << 10
"""Elements that tell of most pieces that they changed."""

_APART = 1e4
"""How many times larger one square of a norm may be than the other before the scalar product is no longer taken from norms."""


class Place(NamedTuple):
    """Where a tensor's bytes are: an open file, and the offset of the first in it."""

    descriptor: int
    start: int
    dtype: Dtype

    def read(self, space: Space, first: int, count: int) -> Array:
        """Return the bytes of `count` elements from `first`, in `space`. Raises ChangedUnderneath or Unreadable."""
        length = count * self.dtype.bits // 8
        part = memoryview(space.raw)[:length]
        done = 0
        while done < length:
            done += read_into(self.descriptor, part[done:], self.start + first * self.dtype.bits // 8 + done)
        data: Array = space.raw[:length]
        return data


class Sums(NamedTuple):
    """What a piece of a pair, or a block of a piece, adds to its facts: the squares of a, of b, of b - a, and the scalar product of a and b."""

    same_bytes: bool
    changed: int = 0
    broken: int = 0
    max_abs: float = 0.0
    aa: Scaled = ZERO
    bb: Scaled = ZERO
    dd: Scaled = ZERO
    ab: Scaled = ZERO


class Bench:
    """The memory that a thread works in."""

    def __init__(self) -> None:
        self.np = importlib.import_module("numpy")
        self.a, self.b = Space(self.np), Space(self.np)
        self.mask = self.np.empty(2 * BLOCK, bool)


def piece_sums(benches: Any, places: tuple[Place, Place], elements: range, *, norms: bool) -> Sums:  # noqa: ANN401 - a queue, imported late
    """Return the sums over some elements; of a piece whose bytes are equal no more than that, unless `norms` are wanted."""
    bench = benches.get()
    try:
        with bench.np.errstate(all="ignore"):
            if not norms and places[0].dtype is places[1].dtype and _equal(bench, places, elements):
                return Sums(same_bytes=True)
            return _added([_block(bench, places, block.start, len(block)) for block in _blocks(elements)])
    finally:
        benches.put(bench)


def _blocks(elements: range) -> Iterator[range]:
    yield from (range(first, min(first + BLOCK, elements.stop)) for first in range(elements.start, elements.stop, BLOCK))


def _equal(bench: Bench, places: tuple[Place, Place], elements: range) -> bool:
    """Whether the bytes are equal; stops at the first block where they are not, which is nearly always the short one that is looked at before all."""
    np = bench.np
    for block in (elements[:GLANCE], *_blocks(elements)):
        a, b = places[0].read(bench.a, block.start, len(block)), places[1].read(bench.b, block.start, len(block))
        whole = a.size // 8 * 8
        mask = np.not_equal(a[:whole].view("<u8"), b[:whole].view("<u8"), out=bench.mask[: whole // 8])
        if mask.any() or (a[whole:] != b[whole:]).any():
            return False
    return True


def _added(blocks: Sequence[Sums]) -> Sums:
    return Sums(
        same_bytes=False,
        changed=sum(block.changed for block in blocks),
        broken=sum(block.broken for block in blocks),
        max_abs=max(block.max_abs for block in blocks),
        aa=total(block.aa for block in blocks),
        bb=total(block.bb for block in blocks),
        dd=total(block.dd for block in blocks),
        ab=total(block.ab for block in blocks),
    )


def _block(bench: Bench, places: tuple[Place, Place], first: int, count: int) -> Sums:
    left, right = places
    one, two = left.read(bench.a, first, count), right.read(bench.b, first, count)
    if left.dtype in INTEGERS and right.dtype in INTEGERS:
        return _block_of_integers(bench, native(one, left.dtype), native(two, right.dtype))
    if left.dtype is right.dtype is Dtype.BF16 and count % 2 == 0:
        a, b = bench.a.halves(one), bench.b.halves(two)
    else:
        a, b = bench.a.values(one, left.dtype), bench.b.values(two, right.dtype)
    if a.size != b.size:
        a, b = (values if dtype is Dtype.C64 else _complex(bench.np, values) for values, dtype in ((a, left.dtype), (b, right.dtype)))
    if a.dtype != b.dtype or a.dtype.itemsize == 8:  # noqa: PLR2004 - bytes of a double
        sums = _block_of_doubles(bench, a, b)
        return sums._replace(changed=sums.changed + sum(_without_a_double(bench.np, *side, a, b) for side in ((one, left.dtype), (two, right.dtype))))
    return _block_of_floats(bench, a, b)


def _complex(np: Any, values: Array) -> Array:  # noqa: ANN401 - numpy, imported late
    """Return real numbers as complex ones, in pairs."""
    pairs: Array = np.zeros(2 * values.size, values.dtype)
    pairs[0::2] = values
    return pairs


def _without_a_double(np: Any, data: Array, dtype: Dtype, a: Array, b: Array) -> int:  # noqa: ANN401 - as above
    """Return how many integers equal a float, or the real part of a complex number, only because they were rounded to a double."""
    if dtype not in (Dtype.I64, Dtype.U64):
        return 0
    numbers = native(data, dtype)
    high, low = (numbers >> 32).astype("<f8") * 2.0**32, (numbers & 0xFFFFFFFF).astype("<f8")
    rounded = high + low
    return int(np.count_nonzero((low - (rounded - high) != 0) & (a == b)[:: a.size // numbers.size]))


def _block_of_floats(bench: Bench, a: Array, b: Array) -> Sums:
    """Return the sums over numbers that came from at most 32 bits, whose squares are doubles: nearly all there are, in the fewest passes over memory."""
    np = bench.np
    changed = int(np.count_nonzero(np.not_equal(a, b, out=bench.mask[: a.size])))
    wide_a, wide_b = bench.a.widened(a), bench.b.widened(b)
    aa, bb = dot(np, wide_a, wide_a), dot(np, wide_b, wide_b)
    if not aa + bb < float("inf"):
        return _block_with_broken(bench, wide_a, wide_b)
    difference = np.subtract(wide_b, wide_a, out=wide_b)
    dd = dot(np, difference, difference)
    most = largest(difference)
    if aa > _APART * bb or bb > _APART * aa:
        ab = fsum((aa, dot(np, wide_a, difference))) if bb > aa else dot(np, wide_a, bench.b.widened(b))
    else:
        ab = (aa - dd + bb) / 2
    return Sums(False, changed, 0, most, (aa, 0), (bb, 0), (dd, 0), (ab, 0))  # noqa: FBT003 - same_bytes, a field's value


def _block_of_doubles(bench: Bench, a: Array, b: Array) -> Sums:
    """Return the sums over numbers whose squares leave the range of doubles."""
    np = bench.np
    changed = int(np.count_nonzero(np.not_equal(a, b, out=bench.mask[: a.size])))
    a, b = bench.a.widened(a), bench.b.widened(b)
    if not (np.isfinite(a).all() and np.isfinite(b).all()):
        return _block_with_broken(bench, a, b)
    difference = b - a
    halved = not largest(difference) < float("inf")
    if halved:
        difference = b / 2 - a / 2
    square, exponent = product(np, difference, difference)
    return Sums(
        same_bytes=False,
        changed=changed,
        max_abs=largest(difference) * (1 + halved),
        aa=product(np, a, a),
        bb=product(np, b, b),
        dd=(square, exponent + 2 * halved),
        ab=product(np, a, b),
    )


def _block_with_broken(bench: Bench, a: Array, b: Array) -> Sums:
    """Return the sums over doubles some of which are NaN or infinite: those are counted, and left out with their partners."""
    np = bench.np
    finite = np.isfinite(a) & np.isfinite(b)
    differ = (a != b) & ~(np.isnan(a) & np.isnan(b))
    rest = _block_of_doubles(bench, np.where(finite, a, 0.0), np.where(finite, b, 0.0))
    return rest._replace(changed=int(np.count_nonzero(differ)), broken=int(np.count_nonzero(differ & ~finite)))


def _block_of_integers(bench: Bench, a: Array, b: Array) -> Sums:
    """Return the sums over integers, which are compared and, where both are of one type, subtracted as such."""
    np = bench.np
    changed = int(np.count_nonzero(a != b))
    wide_a, wide_b = a.astype("<f8"), b.astype("<f8")
    if a.dtype == b.dtype:
        unsigned = a.dtype.str.replace("i", "u")
        # Wraps around where it must: taken as unsigned, the difference of the larger and the smaller is right.
        difference = (np.maximum(a, b).view(unsigned) - np.minimum(a, b).view(unsigned)).astype("<f8")
    else:
        difference = np.abs(wide_b - wide_a)
    aa, bb, dd, ab = (dot(np, x, y) for x, y in ((wide_a, wide_a), (wide_b, wide_b), (difference, difference), (wide_a, wide_b)))
    return Sums(False, changed, 0, largest(difference), (aa, 0), (bb, 0), (dd, 0), (ab, 0))  # noqa: FBT003 - same_bytes, a field's value
