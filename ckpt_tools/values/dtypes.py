"""Bytes of any of the format's dtypes as exact numbers, in memory that is used again.

And sums of squares that neither drift nor overflow. numpy only.

Small formats are read by a table of all their codes: OCP's 8-, 6- and 4-bit floats, and the FNUZ
kinds of 8 bits, which have one NaN and no -0. F4 and F6 lie packed from the low bit up. A complex
number is its two parts, a bool 0 or 1. All become floats of 32 or 64 bits without loss, but for
integers of 64 bits, which round to doubles.
"""

from __future__ import annotations

import importlib
from functools import cache
from math import fsum, ldexp, nan, sqrt
from typing import TYPE_CHECKING, Any, NamedTuple

from ckpt_tools.checkpoint.dtype import Dtype

if TYPE_CHECKING:
    from collections.abc import Iterable

    from numpy.typing import NDArray

    type Array = NDArray[Any]

BLOCK = 1 << 17
"""Elements per step, and per partial sum.

Enough that Python's own time is small beside numpy's, little enough for a core's cache.
"""

ROW = 1 << 12
"""Elements per dot product.

BLAS starts threads of its own above ten thousand, which would fight with these.
"""

_NATIVE = {
    Dtype.F64: "<f8", Dtype.F32: "<f4", Dtype.C64: "<f4", Dtype.F16: "<f2", Dtype.U8: "u1", Dtype.I8: "i1", Dtype.U16: "<u2", Dtype.I16: "<i2",
    Dtype.U32: "<u4", Dtype.I32: "<i4", Dtype.U64: "<u8", Dtype.I64: "<i8",
}  # fmt: skip
INTEGERS = frozenset(
    {Dtype.U8, Dtype.I8, Dtype.U16, Dtype.I16, Dtype.U32, Dtype.I32, Dtype.U64, Dtype.I64}
)
_AS_DOUBLES = frozenset({Dtype.U32, Dtype.I32, Dtype.U64, Dtype.I64})

MANTISSA = {
    Dtype.F8_E8M0: 0, Dtype.F4: 1, Dtype.F6_E2M3: 3, Dtype.F6_E3M2: 2, Dtype.F8_E5M2: 2, Dtype.F8_E4M3: 3, Dtype.F8_E4M3FNUZ: 3, Dtype.F8_E5M2FNUZ: 2,
    Dtype.F16: 10, Dtype.BF16: 7, Dtype.F32: 23, Dtype.C64: 23, Dtype.F64: 52,
}  # fmt: skip
"""Bits of mantissa that are stored."""


class _Small(NamedTuple):
    """A format of a few bits.

    Of exponent and mantissa, the exponent's bias, the codes without their sign that are NaN and
    that are infinite.
    """

    exponent: int
    mantissa: int
    bias: int
    nan: frozenset[int] = frozenset()
    infinite: frozenset[int] = frozenset()
    one_zero: bool = False


_SMALL = {
    Dtype.F4: _Small(2, 1, 1),
    Dtype.F6_E2M3: _Small(2, 3, 1),
    Dtype.F6_E3M2: _Small(3, 2, 3),
    Dtype.F8_E4M3: _Small(4, 3, 7, nan=frozenset({0x7F})),
    Dtype.F8_E5M2: _Small(5, 2, 15, nan=frozenset({0x7D, 0x7E, 0x7F}), infinite=frozenset({0x7C})),
    Dtype.F8_E4M3FNUZ: _Small(4, 3, 8, one_zero=True),
    Dtype.F8_E5M2FNUZ: _Small(5, 2, 16, one_zero=True),
}


def _small_value(code: int, kind: _Small) -> float:
    """Return what a code of a small format stands for."""
    sign_bit = 1 << kind.exponent + kind.mantissa
    sign, size = (-1.0 if code & sign_bit else 1.0), code & sign_bit - 1
    if size in kind.nan or (kind.one_zero and code == sign_bit):
        return nan
    if size in kind.infinite:
        return sign * float("inf")
    exponent, mantissa = divmod(size, 1 << kind.mantissa)
    if exponent == 0:
        return sign * ldexp(mantissa, 1 - kind.bias - kind.mantissa)
    return sign * ldexp(mantissa + (1 << kind.mantissa), exponent - kind.bias - kind.mantissa)


@cache
def _table(dtype: Dtype) -> Array:
    """Return the values of all codes of a format of at most 8 bits, as floats."""
    np = importlib.import_module("numpy")
    if dtype is Dtype.F8_E8M0:
        values = [ldexp(1.0, code - 127) for code in range(255)] + [nan]
    elif dtype is Dtype.BOOL:
        values = [0.0] + [1.0] * 255
    else:
        values = [_small_value(code, _SMALL[dtype]) for code in range(1 << dtype.bits)]
    table: Array = np.array(values, dtype="<f4")
    return table


class DecodeBuffers:
    """The memory in which a block of one tensor is decoded.

    At most BLOCK elements, twice as many floats for complex ones.
    """

    def __init__(self, np: Any) -> None:  # noqa: ANN401 - numpy, imported late
        self.np = np
        self.wide = np.empty(BLOCK * 2, "<u4")
        self.doubles = np.empty(BLOCK * 2, "<f8")

    def values(self, data: Array, dtype: Dtype) -> Array:
        """Return the elements in `data`, bytes in whole elements, in order.

        Floats of 32 or 64 bits, in this memory or in that of `data`.
        """
        np = self.np
        if dtype is Dtype.BF16:
            bits = self.wide[: data.size // 2]
            np.copyto(bits, data.view("<u2"))
            np.left_shift(bits, np.uint32(16), out=bits)
            return _floats(bits)
        if dtype in (Dtype.F32, Dtype.C64, Dtype.F64):
            return data.view(_NATIVE[dtype])
        if dtype in _NATIVE:
            native = data.view(_NATIVE[dtype])
            room = self.doubles if dtype in _AS_DOUBLES else _floats(self.wide)
            np.copyto(room[: native.size], native)
            return _typed(room[: native.size])
        codes = unpacked(np, data, dtype)
        return _typed(
            np.take(_table(dtype), codes, out=_floats(self.wide)[: codes.size], mode="clip")
        )

    def widened(self, values: Array) -> Array:
        """Return floats as doubles in this memory, which what `values` returned may lie in."""
        doubles = self.doubles[: values.size]
        if values.base is not self.doubles or values.dtype != doubles.dtype:
            self.np.copyto(doubles, values)
        return _typed(doubles)


def _floats(bits: Array) -> Array:
    return bits.view("<f4")


def _typed(values: Any) -> Array:  # noqa: ANN401 - what numpy's functions return where it is imported late
    array: Array = values
    return array


def unpacked(np: Any, data: Array, dtype: Dtype) -> Array:  # noqa: ANN401 - numpy, imported late
    """Return one code a byte of elements that have at most 8 bits."""
    if dtype is Dtype.F4:
        codes = np.empty(2 * data.size, "u1")
        np.bitwise_and(data, 15, out=codes[0::2])
        np.right_shift(data, 4, out=codes[1::2])
        return _typed(codes)
    if dtype in (Dtype.F6_E2M3, Dtype.F6_E3M2):
        low, middle, high = data[0::3], data[1::3], data[2::3]
        codes = np.empty(data.size // 3 * 4, "u1")
        codes[0::4] = low & 63
        codes[1::4] = low >> 6 | (middle & 15) << 2
        codes[2::4] = middle >> 4 | (high & 3) << 4
        codes[3::4] = high >> 2
        return _typed(codes)
    return data


def native(data: Array, dtype: Dtype) -> Array:
    """Return elements of a type that numpy has, as they are."""
    return data.view(_NATIVE[dtype])


# --- sums -----------------------------------------------------------------------------------------

type Scaled = tuple[float, int]
"""A number as (m, e), m times 2 to the e, e even.

Squares of doubles have exponents that doubles lack.
"""

ZERO: Scaled = (0.0, 0)


def dot(np: Any, x: Array, y: Array) -> float:  # noqa: ANN401 - numpy, imported late
    """Return the scalar product of doubles.

    Rows are summed by BLAS, and their sums without any rounding but the last.
    """
    whole = x.size // ROW * ROW
    rows: list[float] = np.vecdot(x[:whole].reshape(-1, ROW), y[:whole].reshape(-1, ROW)).tolist()
    return fsum((*rows, float(np.dot(x[whole:], y[whole:]))))


def largest(x: Array) -> float:
    """Return the largest size among doubles, 0 of none."""
    return max(0.0, float(x.max()), -float(x.min())) if x.size else 0.0


def scaled(np: Any, x: Array) -> tuple[Array, int]:  # noqa: ANN401 - numpy, imported late
    """Return doubles divided by a power of two near their largest, and its exponent.

    Their squares fit.
    """
    top = largest(x)
    if 1e-140 < top < 1e140 or top == 0:  # noqa: PLR2004 - far from where squares leave the range, and so are those that count beside them
        return x, 0
    exponent = int(np.frexp(top)[1])
    half = exponent // 2
    return x * ldexp(1.0, -half) * ldexp(1.0, half - exponent), exponent


def product(np: Any, x: Array, y: Array) -> Scaled:  # noqa: ANN401 - numpy, imported late
    """Return the scalar product of any finite doubles."""
    (left, one), (right, two) = scaled(np, x), scaled(np, y)
    value, exponent = dot(np, left, right), one + two
    return (2 * value, exponent - 1) if exponent % 2 else (value, exponent)


def total(parts: Iterable[Scaled]) -> Scaled:
    """Return a sum, rounded once."""
    listed = [part for part in parts if part[0]]
    top = max((exponent for _, exponent in listed), default=0)
    return fsum(ldexp(value, exponent - top) for value, exponent in listed), top


def root(number: Scaled) -> float:
    """Return the square root; infinite where no double is so large."""
    value, exponent = number
    try:
        return ldexp(sqrt(value), exponent // 2)
    except OverflowError:
        return float("inf")
