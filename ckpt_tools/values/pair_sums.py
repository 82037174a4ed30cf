"""What a piece of a pair of tensors adds to their facts.

Exact sums over blocks, in the memory of one thread, in the fewest passes over it.

What `kernels.c` can read as it is stored, nearly all there is, is added up where it was read to.
numpy decodes the rest.
"""

from __future__ import annotations

from math import inf
from typing import TYPE_CHECKING, Any, NamedTuple

from ckpt_tools.checkpoint.dtype import Dtype
from ckpt_tools.values import kernels
from ckpt_tools.values.blocks import Span, blocks
from ckpt_tools.values.dtypes import INTEGERS, ZERO, Scaled, dot, largest, native, product, total

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from ckpt_tools.values.blocks import ScratchBuffers
    from ckpt_tools.values.dtypes import Array


class Sums(NamedTuple):
    """What a piece of a pair, or a block of a piece, adds to its facts.

    The squares of a, of b, of b - a, and the scalar product of a and b.
    """

    same_bytes: bool
    changed: int = 0
    broken: int = 0
    max_abs: float = 0.0
    aa: Scaled = ZERO
    bb: Scaled = ZERO
    dd: Scaled = ZERO
    ab: Scaled = ZERO


def piece_sums(
    bench: ScratchBuffers, spans: tuple[Span, Span], elements: range, *, norms: bool = False
) -> Sums:
    """Return the sums over some elements.

    Of a piece whose bytes are equal no more than that, unless `norms` are wanted.
    """
    if not norms and spans[0].dtype is spans[1].dtype and _equal(bench, spans, elements):
        return Sums(same_bytes=True)
    return _added(list(_parts(bench, spans, elements)))


def _equal(bench: ScratchBuffers, spans: tuple[Span, Span], elements: range) -> bool:
    """Whether the bytes are equal. Raises ChangedDuringRead or Unreadable."""
    bits, (left, right) = spans[0].dtype.bits, bench.memories
    one, two = (
        span._replace(start=span.start + elements.start * bits // 8, dtype=Dtype.U8)
        for span in spans
    )
    length = len(elements) * bits // 8
    same = kernels.same_in_files(one.source(left), two.source(right), length)
    if same is None:  # reading here says why, or goes on after an interruption
        return all(
            bytes(one.read(left, block)) == bytes(two.read(right, block))
            for block in blocks(range(length), Dtype.U8)
        )
    return same


def _parts(bench: ScratchBuffers, spans: tuple[Span, Span], elements: range) -> Iterator[Sums]:
    """Yield sums that together are those over all elements.

    Compiled ones as far as they reach, then those of a block that numpy decodes, and so on.
    """
    (left, right), (one, two), rest = spans, bench.memories, elements
    dtypes = left.dtype, right.dtype
    while rest:
        if all(dtype in kernels.KINDS for dtype in dtypes):
            done, found = kernels.pair_of_files(
                dtypes, left.source(one, rest.start), right.source(two, rest.start), len(rest)
            )
            yield _told(found)
            rest = rest[done:]
        if rest:
            block = next(blocks(rest, *dtypes))
            yield _decoded(
                bench, (left.read(one, block), left.dtype), (right.read(two, block), right.dtype)
            )
            rest = rest[len(block) :]


def _added(parts: Sequence[Sums]) -> Sums:
    return Sums(
        same_bytes=False,
        changed=sum(part.changed for part in parts),
        broken=sum(part.broken for part in parts),
        max_abs=max(part.max_abs for part in parts),
        aa=total(part.aa for part in parts),
        bb=total(part.bb for part in parts),
        dd=total(part.dd for part in parts),
        ab=total(part.ab for part in parts),
    )


def _told(found: kernels.PairSums) -> Sums:
    """Return compiled sums, over finite numbers whose squares are doubles."""
    return Sums(
        False,  # noqa: FBT003 - same_bytes, a field's value
        found.changed,
        0,
        found.max_abs,
        (found.aa, 0),
        (found.bb, 0),
        (found.dd, 0),
        (found.ab, 0),
    )


# --- what numpy decodes ---------------------------------------------------------------------------

type _Bytes = tuple[Array, Dtype]


def _decoded(bench: ScratchBuffers, *sides: tuple[memoryview, Dtype]) -> Sums:
    """Return the sums over a block of numbers of any kind, NaN and infinities among them."""
    with bench.np.errstate(all="ignore"):
        one, two = ((bench.np.frombuffer(data, "u1"), dtype) for data, dtype in sides)
        if one[1] in INTEGERS and two[1] in INTEGERS:
            return _block_of_integers(bench, native(*one), native(*two))
        return _block_of_numbers(bench, one, two)


def _block_of_numbers(bench: ScratchBuffers, one: _Bytes, two: _Bytes) -> Sums:
    """Return the sums over numbers of which at least one side's are floats."""
    a, b = (space.values(*side) for space, side in zip(bench.spaces, (one, two), strict=True))
    if a.size != b.size:
        a, b = (
            values if dtype is Dtype.C64 else _complex(bench.np, values)
            for values, (_, dtype) in ((a, one), (b, two))
        )
    if a.dtype != b.dtype or a.dtype.itemsize == 8:  # noqa: PLR2004 - bytes of a double
        doubles = _block_of_doubles(bench, a, b)
        return doubles._replace(
            changed=doubles.changed
            + sum(_without_a_double(bench.np, *side, a, b) for side in (one, two))
        )
    found = kernels.pair((Dtype.F32, Dtype.F32), a.ctypes.data, b.ctypes.data, a.size)
    return (
        _told(found)
        if found.aa + found.bb < inf
        else _block_with_broken(bench, *_widened(bench, a, b))
    )


def _widened(bench: ScratchBuffers, a: Array, b: Array) -> tuple[Array, Array]:
    return bench.spaces[0].widened(a), bench.spaces[1].widened(b)


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
    return int(
        np.count_nonzero((low - (rounded - high) != 0) & (a == b)[:: a.size // numbers.size])
    )


def _block_of_doubles(bench: ScratchBuffers, a: Array, b: Array) -> Sums:
    """Return the sums over numbers whose squares leave the range of doubles."""
    np = bench.np
    changed = int(np.count_nonzero(a != b))
    a, b = _widened(bench, a, b)
    if not (np.isfinite(a).all() and np.isfinite(b).all()):
        return _block_with_broken(bench, a, b)
    difference = b - a
    halved = not largest(difference) < inf
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


def _block_with_broken(bench: ScratchBuffers, a: Array, b: Array) -> Sums:
    """Return the sums over doubles some of which are NaN or infinite.

    Those are counted, and left out with their partners.
    """
    np = bench.np
    finite = np.isfinite(a) & np.isfinite(b)
    differ = (a != b) & ~(np.isnan(a) & np.isnan(b))
    rest = _block_of_doubles(bench, np.where(finite, a, 0.0), np.where(finite, b, 0.0))
    return rest._replace(
        changed=int(np.count_nonzero(differ)), broken=int(np.count_nonzero(differ & ~finite))
    )


def _block_of_integers(bench: ScratchBuffers, a: Array, b: Array) -> Sums:
    """Return the sums over integers, which are compared and, where both are of one type, subtracted as such."""
    np = bench.np
    changed = int(np.count_nonzero(a != b))
    wide_a, wide_b = a.astype("<f8"), b.astype("<f8")
    if a.dtype == b.dtype:
        unsigned = a.dtype.str.replace("i", "u")
        # Wraps around where it must: taken as unsigned, the difference of the larger and the
        # smaller is right.
        difference = (np.maximum(a, b).view(unsigned) - np.minimum(a, b).view(unsigned)).astype(
            "<f8"
        )
    else:
        difference = np.abs(wide_b - wide_a)
    aa, bb, dd, ab = (
        dot(np, x, y)
        for x, y in ((wide_a, wide_a), (wide_b, wide_b), (difference, difference), (wide_a, wide_b))
    )
    return Sums(False, changed, 0, largest(difference), (aa, 0), (bb, 0), (dd, 0), (ab, 0))  # noqa: FBT003 - same_bytes, a field's value
