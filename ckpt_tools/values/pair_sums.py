"""What a piece of a pair of tensors adds to their facts: exact sums over blocks.

What the kernel can read as it is stored, nearly all there is, is added up where it was read to.
numpy decodes the rest, and everything where the kernel is not installed.
"""

from __future__ import annotations

from math import inf
from typing import TYPE_CHECKING, NamedTuple

from ckpt_tools.checkpoint.dtype import Dtype
from ckpt_tools.values import kernels
from ckpt_tools.values.blocks import Span, blocks
from ckpt_tools.values.dtypes import (
    INTEGERS,
    NATIVE,
    ZERO,
    Scaled,
    decode,
    dot,
    largest,
    product,
    total,
)
from ckpt_tools.values.lazy import np

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from ckpt_tools.values.blocks import Buffers
    from ckpt_tools.values.dtypes import Array


class Sums(NamedTuple):
    """What a piece of a pair, or a block of a piece, adds to its facts.

    The squares of a, of b, of b - a, and the scalar product of a and b.
    """

    same_bytes: bool = False
    changed: int = 0
    broken: int = 0
    max_abs: float = 0.0
    aa: Scaled = ZERO
    bb: Scaled = ZERO
    dd: Scaled = ZERO
    ab: Scaled = ZERO


def piece_sums(
    buffers: Buffers, spans: tuple[Span, Span], elements: range, *, norms: bool = False
) -> Sums:
    """Return the sums over some elements.

    Without `norms`, those of a piece whose bytes are equal are left at zero.
    """
    if not norms and spans[0].dtype is spans[1].dtype and _equal(buffers, spans, elements):
        return Sums(same_bytes=True)
    return added(list(_parts(buffers, spans, elements)))


def _equal(buffers: Buffers, spans: tuple[Span, Span], elements: range) -> bool:
    """Whether the bytes are equal. Raises ChangedDuringRead or Unreadable."""
    bits = spans[0].dtype.bits
    one, two = (
        span._replace(start=span.start + elements.start * bits // 8, dtype=Dtype.U8)
        for span in spans
    )
    length = len(elements) * bits // 8
    same = (
        kernels.same_in_files(one.source(buffers.a), two.source(buffers.b), length)
        if kernels.reads()
        else None
    )
    if same is None:  # reading here raises what stopped the kernel, or goes on after an interrupt
        return all(
            bytes(one.read(buffers.a, block)) == bytes(two.read(buffers.b, block))
            for block in blocks(range(length), Dtype.U8)
        )
    return same


def _parts(buffers: Buffers, spans: tuple[Span, Span], elements: range) -> Iterator[Sums]:
    """Yield sums that together are those over all elements.

    The kernel's as far as they reach, then those of a block that numpy decodes, and so on.
    """
    (left, right), one, two, rest = spans, buffers.a, buffers.b, elements
    dtypes = left.dtype, right.dtype
    while rest:
        if kernels.reads(*dtypes):
            done, found = kernels.pair_of_files(
                dtypes, left.source(one, rest.start), right.source(two, rest.start), len(rest)
            )
            yield _of_kernel(found)
            rest = rest[done:]
        if rest:
            block = next(blocks(rest, *dtypes))
            yield _decoded(
                (np.frombuffer(left.read(one, block), "u1"), left.dtype),
                (np.frombuffer(right.read(two, block), "u1"), right.dtype),
            )
            rest = rest[len(block) :]


def added(parts: Sequence[Sums]) -> Sums:
    """Return the sums over several parts together."""
    return Sums(
        all(part.same_bytes for part in parts),
        sum(part.changed for part in parts),
        sum(part.broken for part in parts),
        max(part.max_abs for part in parts),
        *(total(getattr(part, name) for part in parts) for name in ("aa", "bb", "dd", "ab")),
    )


def _of_kernel(found: kernels.PairSums) -> Sums:
    """Return the kernel's sums, over finite numbers whose squares are doubles."""
    sums = ((part, 0) for part in (found.aa, found.bb, found.dd, found.ab))
    return Sums(False, found.changed, 0, found.max_abs, *sums)  # noqa: FBT003 - same_bytes, a field's value


# --- what numpy decodes ---------------------------------------------------------------------------

type _Bytes = tuple[Array, Dtype]


def _decoded(one: _Bytes, two: _Bytes) -> Sums:
    """Return the sums over a block of numbers of any kind, NaN and infinities among them."""
    with np.errstate(all="ignore"):
        if one[1] in INTEGERS and two[1] in INTEGERS:
            return _integers(*(data.view(NATIVE[dtype]) for data, dtype in (one, two)))
        return _numbers(one, two)


def _numbers(one: _Bytes, two: _Bytes) -> Sums:
    """Return the sums over numbers of which at least one side's are floats."""
    a, b = decode(*one), decode(*two)
    if a.size != b.size:
        a, b = (
            values if dtype is Dtype.C64 else _complex(values)
            for values, (_, dtype) in ((a, one), (b, two))
        )
    if kernels.reads() and a.dtype == b.dtype == np.float32:
        found = kernels.pair((Dtype.F32, Dtype.F32), a.ctypes.data, b.ctypes.data, a.size)
        if found.aa + found.bb < inf:
            return _of_kernel(found)
    sums = _doubles(a.astype("<f8", copy=False), b.astype("<f8", copy=False))
    rounded = sum(_equal_by_rounding(*side, a, b) for side in (one, two))
    return sums._replace(changed=sums.changed + rounded)


def _complex(values: Array) -> Array:
    """Return real numbers as complex ones, in pairs."""
    return np.stack((values, np.zeros_like(values)), axis=-1).ravel()


def _equal_by_rounding(data: Array, dtype: Dtype, a: Array, b: Array) -> int:
    """Return how many integers equal a float only because they were rounded to a double.

    Or the real part of a complex number.
    """
    if dtype not in (Dtype.I64, Dtype.U64):
        return 0
    numbers = data.view(NATIVE[dtype])
    high, low = (numbers >> 32).astype("<f8") * 2.0**32, (numbers & 0xFFFFFFFF).astype("<f8")
    rounded = high + low
    return int(
        np.count_nonzero((low - (rounded - high) != 0) & (a == b)[:: a.size // numbers.size])
    )


def _doubles(a: Array, b: Array) -> Sums:
    """Return the sums over doubles, whose squares may leave their range.

    NaN and infinities are counted, and left out with their partners.
    """
    finite = np.isfinite(a) & np.isfinite(b)
    if not finite.all():
        differ = (a != b) & ~(np.isnan(a) & np.isnan(b))
        rest = _doubles(np.where(finite, a, 0.0), np.where(finite, b, 0.0))
        return rest._replace(
            changed=int(np.count_nonzero(differ)), broken=int(np.count_nonzero(differ & ~finite))
        )
    difference = b - a
    halved = not largest(difference) < inf
    if halved:
        difference = b / 2 - a / 2
    square, exponent = product(difference, difference)
    return Sums(
        changed=int(np.count_nonzero(a != b)),
        max_abs=largest(difference) * (1 + halved),
        aa=product(a, a),
        bb=product(b, b),
        dd=(square, exponent + 2 * halved),
        ab=product(a, b),
    )


def _integers(a: Array, b: Array) -> Sums:
    """Return the sums over integers, compared as such and, if of one type, subtracted as such."""
    wide_a, wide_b = a.astype("<f8"), b.astype("<f8")
    if a.dtype == b.dtype:
        unsigned = a.dtype.str.replace("i", "u")
        # Wraps around where it must: taken as unsigned, the difference of the larger and the
        # smaller is right.
        apart = np.maximum(a, b).view(unsigned) - np.minimum(a, b).view(unsigned)
        difference = apart.astype("<f8")
    else:
        difference = np.abs(wide_b - wide_a)
    pairs = (wide_a, wide_a), (wide_b, wide_b), (difference, difference), (wide_a, wide_b)
    changed = int(np.count_nonzero(a != b))
    return Sums(False, changed, 0, largest(difference), *((dot(x, y), 0) for x, y in pairs))  # noqa: FBT003 - same_bytes, a field's value
