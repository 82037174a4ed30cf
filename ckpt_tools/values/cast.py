"""Casts between floating-point types, in chunks: a tensor of any size in a few megabytes.

Values round to nearest, ties to even, and overflow as torch's `.to()` has them, bit for bit; like
torch a double goes through a float to anything narrower. A NaN stays a NaN and keeps its sign;
which one torch makes depends on the machine and on the tensor's length. Bytes are little endian, as
in the file.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from ckpt_tools.checkpoint.dtype import FLOATS, Dtype
from ckpt_tools.errors import EditRefused, located
from ckpt_tools.progress import ignore
from ckpt_tools.storage.copy import fill, write_at
from ckpt_tools.storage.files import open_regular
from ckpt_tools.values.dtypes import NATIVE, SMALL, decode
from ckpt_tools.values.lazy import np

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from ckpt_tools.checkpoint.model import Source
    from ckpt_tools.values.dtypes import Array, SmallFloat

CHUNK = 1 << 20
"""Bytes of source per step: what fits the processor's cache with its copies."""

_WIDER = {
    Dtype.F8_E4M3: (Dtype.F16, Dtype.BF16, Dtype.F32, Dtype.F64),
    Dtype.F8_E5M2: (Dtype.F16, Dtype.BF16, Dtype.F32, Dtype.F64),
    Dtype.F16: (Dtype.F32, Dtype.F64),
    Dtype.BF16: (Dtype.F32, Dtype.F64),
    Dtype.F32: (Dtype.F64,),
}


_INFINITY = 0x7F800000


def cast_stream(  # noqa: PLR0913, PLR0917 - two places and what goes between them
    source: int,
    target: int,
    piece: Source,
    dtype: Dtype,
    offset: int,
    progress: Callable[[int], None] = ignore,
) -> int:
    """Write the payload `piece` of descriptor `source`, cast to `dtype`, to `offset` of `target`.

    Returns the number of bytes written. Raises EditRefused for types that cannot be cast,
    ChangedDuringRead and Unreadable for the source, OSError for the target.
    """
    _check_pair(piece.dtype, dtype)
    written = 0
    for chunk in _chunks(source, piece):
        data = memoryview(cast(chunk, piece.dtype, dtype)).cast("B")
        write_at(target, data, offset + written)
        written += len(data)
        progress(len(data))
    return written


def loses_nothing(source: Source, dtype: Dtype) -> bool:
    """Whether every value of `source`, a range of a file, survives a cast to `dtype` and back.

    With the same bits. Raises EditRefused for types that cannot be cast, and what reading raises.
    """
    if source.dtype is dtype:
        return True
    _check_pair(source.dtype, dtype)
    if dtype in _WIDER.get(source.dtype, ()):
        return True
    with open_regular(source.file) as (descriptor, _), located(source.file):
        return all(_comes_back(chunk, source.dtype, dtype) for chunk in _chunks(descriptor, source))


class Overflow(NamedTuple):
    """How many finite values are too large for a dtype, and the largest magnitude among them."""

    values: int = 0
    largest: float = 0.0


def overflow(source: Source, dtype: Dtype) -> Overflow:
    """Count the finite values of `source`, a range of a file, that become infinite in `dtype`.

    Or NaN, where it has no infinity (F8_E4M3). Raises what `loses_nothing` raises.
    """
    _check_pair(source.dtype, dtype)
    if dtype in _WIDER.get(source.dtype, (source.dtype,)):
        return Overflow()
    with open_regular(source.file) as (descriptor, _), located(source.file):
        found = [_too_large(chunk, source.dtype, dtype) for chunk in _chunks(descriptor, source)]
    return Overflow(
        sum(part.values for part in found), max((part.largest for part in found), default=0.0)
    )


def _too_large(data: Array, old: Dtype, new: Dtype) -> Overflow:
    after = np.isfinite(decode(cast(data, old, new).view("u1"), new))
    if after.all():
        return Overflow()
    lost = np.abs(decode(data, old)[~after])
    lost = lost[np.isfinite(lost)]
    return Overflow(int(lost.size), float(lost.max())) if lost.size else Overflow()


def cast(data: Array, old: Dtype, new: Dtype) -> Array:
    """Return the elements of `data`, bytes that hold values of type `old`, as values of type `new`.

    8-bit and BF16 values are returned as their bits.
    """
    if old is new:
        return data
    with np.errstate(all="ignore"):
        values = decode(data, old).astype("<f4", copy=False)
        if new is Dtype.BF16:
            return _to_bf16(values.view("<u4"))
        if new in SMALL:
            return _to_small(values.view("<u4"), SMALL[new])
        return values.astype(NATIVE[new], copy=False)


def _comes_back(data: Array, old: Dtype, new: Dtype) -> bool:
    if (old, new) == (Dtype.F32, Dtype.BF16):
        return not int(np.bitwise_or.reduce(data.view("<u4"))) & 0xFFFF
    back = cast(cast(data, old, new).view("u1"), new, old)
    return bool(np.array_equal(back.view("u1"), data))


def _to_bf16(bits: Array) -> Array:
    """Return the upper halves of floats, rounded."""
    if not int(np.bitwise_or.reduce(bits)) & 0xFFFF:
        return bits.view("<u2")[1::2].copy()
    odd = bits >> 16
    odd &= 1
    odd += 0x7FFF
    odd += bits
    odd >>= 16
    rounded = odd.astype("<u2")
    nan = (bits & 0x7FFFFFFF) > _INFINITY
    if nan.any():
        # Cut, and kept from becoming an infinity where what is cut off made it a NaN.
        rounded[nan] = bits[nan] >> 16 | np.where(bits[nan] & 0xFFFF, np.uint32(0x40), np.uint32(0))
    return rounded


def _to_small(bits: Array, kind: SmallFloat) -> Array:
    """Return floats, given as their bits, as codes of an 8-bit format with `special` ones."""
    shift = 23 - kind.mantissa
    size = bits & 0x7FFFFFFF
    rounded = np.uint32((kind.bias - 127 << 23) + (1 << shift - 1) - 1 & 0xFFFFFFFF)
    normal = np.minimum(size + rounded + (size >> shift & 1) >> shift, np.uint32(kind.special))
    # Added to a power of two so large that its last bit is the smallest step below the normal
    # range, a value is rounded by the addition.
    magic = np.uint32((127 - kind.bias + shift + 1) << 23)
    small = (size.view("<f4") + magic.view("<f4")).view("<u4") - magic
    result = np.where(size < np.uint32(128 - kind.bias << 23), small, normal)
    result = np.where(size > np.uint32(_INFINITY), np.uint32(0x7F), result)
    signed: Array = result | bits >> 24 & 0x80
    return signed.astype("u1")


def _chunks(descriptor: int, source: Source) -> Iterator[Array]:
    """Yield the payload in whole elements, as bytes in a buffer that the next chunk overwrites."""
    buffer = bytearray(min(CHUNK, source.end - source.start))
    for start in range(source.start, source.end, CHUNK):
        part = memoryview(buffer)[: source.end - start]
        fill(descriptor, part, start)
        yield np.frombuffer(part, dtype="u1")


def _check_pair(old: Dtype, new: Dtype) -> None:
    if old not in FLOATS or new not in FLOATS:
        raise EditRefused(
            f"{old} cannot be cast to {new}",
            hint=f"these can be cast into each other: {', '.join(map(str, FLOATS))}",
        )
