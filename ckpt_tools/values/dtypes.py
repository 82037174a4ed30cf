"""Bytes of any of the format's dtypes as exact numbers, and sums that neither drift nor overflow.

Small formats are decoded by a table of all their codes: OCP's 8-, 6- and 4-bit floats, and the FNUZ
kinds of 8 bits, which have one NaN and no -0. F4 and F6 are packed from the low bit up. A complex
number is its two parts, a bool 0 or 1. All become floats of 32 or 64 bits without loss, except
integers of 64 bits, which round to doubles.
"""

from __future__ import annotations

from functools import cache
from math import copysign, fsum, inf, ldexp, nan, sqrt
from typing import TYPE_CHECKING, Any, NamedTuple

from ckpt_tools.checkpoint.dtype import Dtype
from ckpt_tools.values.lazy import np

if TYPE_CHECKING:
    from collections.abc import Iterable

    from numpy.typing import NDArray

    type Array = NDArray[Any]

BLOCK = 1 << 17
"""Elements per step, and per partial sum.

Enough that Python's own time is small beside numpy's, few enough for a core's cache.
"""

ROW = 1 << 12
"""Elements per dot product.

BLAS starts threads of its own above ten thousand, which would compete with these.
"""

NATIVE = {
    Dtype.F64: "<f8", Dtype.F32: "<f4", Dtype.C64: "<f4", Dtype.F16: "<f2",
    Dtype.U8: "u1", Dtype.U16: "<u2", Dtype.U32: "<u4", Dtype.U64: "<u8",
    Dtype.I8: "i1", Dtype.I16: "<i2", Dtype.I32: "<i4", Dtype.I64: "<i8",
}  # fmt: skip
"""The dtypes that numpy has, and its names for them (a complex number is two floats)."""

INTEGERS = frozenset(dtype for dtype, name in NATIVE.items() if "f" not in name)


class SmallFloat(NamedTuple):
    """A float format of at most 8 bits.

    Its codes without the sign are finite below `special`, which is an infinity, or NaN where it is
    the last; those above are NaN. With `one_zero` the code of -0 is the only NaN.
    """

    exponent: int
    mantissa: int
    bias: int
    special: int = 1 << 8
    one_zero: bool = False

    def value(self, code: int) -> float:
        """Return the number that a code stands for."""
        sign_bit = 1 << self.exponent + self.mantissa
        sign, size = (-1.0 if code & sign_bit else 1.0), code & sign_bit - 1
        if size >= self.special or (self.one_zero and code == sign_bit):
            return copysign(inf if size == self.special != sign_bit - 1 else nan, sign)
        exponent, mantissa = divmod(size, 1 << self.mantissa)
        if exponent:
            mantissa += 1 << self.mantissa
        return sign * ldexp(mantissa, max(exponent, 1) - self.bias - self.mantissa)


SMALL = {
    Dtype.F4: SmallFloat(2, 1, 1),
    Dtype.F6_E2M3: SmallFloat(2, 3, 1),
    Dtype.F6_E3M2: SmallFloat(3, 2, 3),
    Dtype.F8_E4M3: SmallFloat(4, 3, 7, special=0x7F),
    Dtype.F8_E5M2: SmallFloat(5, 2, 15, special=0x7C),
    Dtype.F8_E4M3FNUZ: SmallFloat(4, 3, 8, one_zero=True),
    Dtype.F8_E5M2FNUZ: SmallFloat(5, 2, 16, one_zero=True),
}

MANTISSA = {dtype: small.mantissa for dtype, small in SMALL.items()} | {
    Dtype.F8_E8M0: 0, Dtype.F16: 10, Dtype.BF16: 7, Dtype.F32: 23, Dtype.C64: 23, Dtype.F64: 52,
}  # fmt: skip
"""Bits of mantissa that are stored."""


@cache
def _table(dtype: Dtype) -> Array:
    """Return the values of all codes of a format of at most 8 bits, as floats."""
    if dtype is Dtype.F8_E8M0:
        values = [ldexp(1.0, code - 127) for code in range(255)] + [nan]
    elif dtype is Dtype.BOOL:
        values = [0.0] + [1.0] * 255
    else:
        values = [SMALL[dtype].value(code) for code in range(1 << dtype.bits)]
    return np.array(values, dtype="<f4")


def decode(data: Array, dtype: Dtype) -> Array:
    """Return the elements in `data`, bytes in whole elements, as floats of 32 or 64 bits."""
    if dtype is Dtype.BF16:
        return (data.view("<u2").astype("<u4") << 16).view("<f4")
    if dtype in NATIVE:
        wide = dtype is Dtype.F64 or (dtype in INTEGERS and dtype.bits > 16)  # noqa: PLR2004 - bits that a float of 32 bits holds exactly
        return data.view(NATIVE[dtype]).astype("<f8" if wide else "<f4", copy=False)
    return _table(dtype)[unpacked(data, dtype)]


def unpacked(data: Array, dtype: Dtype) -> Array:
    """Return the codes of elements of at most 8 bits, one a byte."""
    if dtype is Dtype.F4:
        return np.stack((data & 15, data >> 4), axis=-1).ravel()
    if dtype in (Dtype.F6_E2M3, Dtype.F6_E3M2):
        low, middle, high = data[0::3], data[1::3], data[2::3]
        codes = low & 63, low >> 6 | (middle & 15) << 2, middle >> 4 | (high & 3) << 4, high >> 2
        return np.stack(codes, axis=-1).ravel()
    return data


# --- sums -----------------------------------------------------------------------------------------

type Scaled = tuple[float, int]
"""A number as (m, e), m times 2 to the e, e even.

Squares of doubles have exponents that doubles lack.
"""

ZERO: Scaled = (0.0, 0)


def dot(x: Array, y: Array) -> float:
    """Return the scalar product of doubles.

    Rows are summed by BLAS, and their sums without any rounding but the last.
    """
    whole = x.size // ROW * ROW
    rows: list[float] = np.vecdot(x[:whole].reshape(-1, ROW), y[:whole].reshape(-1, ROW)).tolist()
    return fsum((*rows, float(np.dot(x[whole:], y[whole:]))))


def largest(x: Array) -> float:
    """Return the largest magnitude among doubles, 0 of none."""
    return max(0.0, float(x.max()), -float(x.min())) if x.size else 0.0


def _scaled(x: Array) -> tuple[Array, int]:
    """Return doubles divided by a power of two near their largest, and its exponent.

    Their squares fit.
    """
    top = largest(x)
    if 1e-140 < top < 1e140 or top == 0:  # noqa: PLR2004 - far from where squares leave the range, and so are those that count beside them
        return x, 0
    exponent = int(np.frexp(top)[1])
    half = exponent // 2
    return x * ldexp(1.0, -half) * ldexp(1.0, half - exponent), exponent


def product(x: Array, y: Array) -> Scaled:
    """Return the scalar product of any finite doubles."""
    (left, one), (right, two) = _scaled(x), _scaled(y)
    value, exponent = dot(left, right), one + two
    return (2 * value, exponent - 1) if exponent % 2 else (value, exponent)


def total(parts: Iterable[Scaled]) -> Scaled:
    """Return a sum, rounded once."""
    listed = [part for part in parts if part[0]]
    top = max((exponent for _, exponent in listed), default=0)
    return fsum(ldexp(value, exponent - top) for value, exponent in listed), top


def root(number: Scaled) -> float:
    """Return the square root; infinite where it exceeds the largest double."""
    value, exponent = number
    try:
        return ldexp(sqrt(value), exponent // 2)
    except OverflowError:
        return inf
