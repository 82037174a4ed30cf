"""Casts between floating-point types, in chunks: a tensor of any size in a few megabytes.

Values round to nearest, ties to even, and overflow as torch's `.to()` has them, bit for bit; like
torch a double goes through a float to anything narrower. A NaN stays a NaN and keeps its sign;
which one torch makes depends on the machine and on the tensor's length. Bytes are little endian, as
in the file.
"""

from __future__ import annotations

import importlib
import math
from typing import TYPE_CHECKING, NamedTuple

from ckpt_tools.checkpoint.dtype import FLOATS, Dtype
from ckpt_tools.errors import CkptError, EditRefused
from ckpt_tools.progress import ignore
from ckpt_tools.storage.copy import read_into, write_at
from ckpt_tools.storage.files import open_regular

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from types import ModuleType
    from typing import Any

    from numpy.typing import NDArray

    from ckpt_tools.checkpoint.model import Source

    type Array = NDArray[Any]

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
_NAN = 0x7F


class Float8Format(NamedTuple):
    """A type of eight bits.

    Of mantissa, the exponent's bias, the first float (as bits) that is no number in it, and what an
    infinity becomes.
    """

    mantissa: int
    bias: int
    limit: int
    infinity: int


_EIGHTS = {
    Dtype.F8_E4M3: Float8Format(3, 7, 0x43F00000, 0x7F),
    Dtype.F8_E5M2: Float8Format(2, 15, 0x47800000, 0x7C),
}


def cast_stream(  # noqa: PLR0913, PLR0917 - two places and what goes between them
    source: int,
    target: int,
    piece: Source,
    dtype: Dtype,
    offset: int,
    progress: Callable[[int], None] = ignore,
) -> int:
    """Write the payload `piece` of descriptor `source`, cast to `dtype`, to `offset` of `target`, and return how many bytes these are.

    Raises EditRefused for types that cannot be cast, ChangedDuringRead and Unreadable for the
    source, OSError for the target.
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
    """Whether every value of `source`, a range of an open checkpoint's file, comes back with the same bits after a cast to `dtype` and back.

    Raises EditRefused for types that cannot be cast, and what reading raises.
    """
    if source.dtype is dtype:
        return True
    _check_pair(source.dtype, dtype)
    if dtype in _WIDER.get(source.dtype, ()):
        return True
    with open_regular(source.file) as (descriptor, _):
        try:
            return all(
                _comes_back(chunk, source.dtype, dtype) for chunk in _chunks(descriptor, source)
            )
        except CkptError as error:
            raise error.at(source.file) from None


def cast(data: Array, old: Dtype, new: Dtype) -> Array:
    """Return the elements of `data`, bytes that hold values of type `old`, as values of type `new`; 8-bit and BF16 values as their bits."""
    np = _numpy()
    if old is new:
        return data
    with np.errstate(all="ignore"):
        values = _floats(np, data, old)
        if new is Dtype.BF16:
            return _to_bf16(np, values.view("<u4"))
        if new in _EIGHTS:
            return _to_eight(np, values.view("<u4"), _EIGHTS[new])
        narrowed: Array = values.astype(
            {Dtype.F16: "<f2", Dtype.F32: "<f4", Dtype.F64: "<f8"}[new], copy=False
        )
        return narrowed


def _comes_back(data: Array, old: Dtype, new: Dtype) -> bool:
    np = _numpy()
    if (old, new) == (Dtype.F32, Dtype.BF16):
        return not int(np.bitwise_or.reduce(data.view("<u4"))) & 0xFFFF
    back = cast(cast(data, old, new).view("u1"), new, old)
    return bool(np.array_equal(back.view("u1"), data))


def _floats(np: ModuleType, data: Array, dtype: Dtype) -> Array:
    """Return values of any type as floats of 32 bits."""
    if dtype is Dtype.BF16:
        bits: Array = data.view("<u2").astype("<u4")
        bits <<= 16
        return bits.view("<f4")
    if dtype in _EIGHTS:
        table = np.array([_value(code, _EIGHTS[dtype]) for code in range(256)], dtype="<f4")
        values: Array = table[data]
        return values
    return data.view({Dtype.F16: "<f2", Dtype.F32: "<f4", Dtype.F64: "<f8"}[dtype]).astype(
        "<f4", copy=False
    )


def _to_bf16(np: ModuleType, bits: Array) -> Array:
    """Return the upper halves of floats, rounded."""
    if not int(np.bitwise_or.reduce(bits)) & 0xFFFF:
        return bits.view("<u2")[1::2].copy()
    odd = bits >> 16
    odd &= 1
    odd += 0x7FFF
    odd += bits
    odd >>= 16
    rounded: Array = odd.astype("<u2")
    nan = (bits & 0x7FFFFFFF) > _INFINITY
    if nan.any():
        # Cut, and kept from becoming an infinity where what is cut off made it a NaN.
        rounded[nan] = bits[nan] >> 16 | np.where(bits[nan] & 0xFFFF, np.uint32(0x40), np.uint32(0))
    return rounded


def _to_eight(np: ModuleType, bits: Array, kind: Float8Format) -> Array:
    """Return floats, given as their bits, in eight bits."""
    shift = 23 - kind.mantissa
    size = bits & 0x7FFFFFFF
    normal = (
        size
        + np.uint32((kind.bias - 127 << 23) + (1 << shift - 1) - 1 & 0xFFFFFFFF)
        + (size >> shift & 1)
        >> shift
    )
    # Added to a power of two so large that its last bit is the smallest step below the normal
    # range, a value is rounded by the addition.
    magic = np.uint32((127 - kind.bias + shift + 1) << 23)
    small = (size.view("<f4") + magic.view("<f4")).view("<u4") - magic
    result = np.where(size < np.uint32(128 - kind.bias << 23), small, normal)
    result = np.where(size >= np.uint32(kind.limit), np.uint32(kind.infinity), result)
    result = np.where(size > np.uint32(_INFINITY), np.uint32(_NAN), result)
    eight: Array = (result | bits >> 24 & 0x80).astype("u1")
    return eight


def _value(code: int, kind: Float8Format) -> float:
    """Return what an 8-bit code stands for."""
    sign = -1.0 if code & 0x80 else 1.0
    exponent, mantissa = divmod(code & _NAN, 1 << kind.mantissa)
    if (code & _NAN) >= kind.infinity:
        return math.copysign(math.inf if (code & _NAN) == kind.infinity != _NAN else math.nan, sign)
    if exponent == 0:
        return sign * mantissa * 2.0 ** (1 - kind.bias - kind.mantissa)
    return sign * (1 + mantissa / (1 << kind.mantissa)) * 2.0 ** (exponent - kind.bias)


def _chunks(descriptor: int, source: Source) -> Iterator[Array]:
    """Yield the payload in whole elements, as bytes in a buffer that the next chunk overwrites."""
    np = _numpy()
    buffer = bytearray(min(CHUNK, source.end - source.start))
    for start in range(source.start, source.end, CHUNK):
        part = memoryview(buffer)[: source.end - start]
        done = 0
        while done < len(part):
            done += read_into(descriptor, part[done:], start + done)
        yield np.frombuffer(part, dtype="u1")


def _check_pair(old: Dtype, new: Dtype) -> None:
    if old not in FLOATS or new not in FLOATS:
        raise EditRefused(
            f"{old} cannot be cast to {new}",
            hint=f"these can be cast into each other: {', '.join(map(str, FLOATS))}",
        )


def _numpy() -> ModuleType:
    """Return numpy, loaded by the first cast.

    Nothing else here needs it, and it takes longer to load than most commands run.
    """
    return importlib.import_module("numpy")
