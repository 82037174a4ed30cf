"""The compiled sums of `sums.c`, over the numbers of one tensor or of two, each in one pass; ctypes only. Other threads run while one adds.

They are right where all numbers are finite. NaN and infinities make the sums of squares NaN or infinite, by which they are seen.
"""

# ruff: noqa: PTH120 - importing pathlib costs start-up time
from __future__ import annotations

import ctypes
import os
from functools import cache
from typing import TYPE_CHECKING, Any, ClassVar

from ckpt_tools.errors import SumsMissing
from ckpt_tools.records.dtype import Dtype

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

LIBRARY = os.path.join(os.path.dirname(__file__), "libsums.so")

KINDS = {Dtype.F32: "f32", Dtype.BF16: "bf16", Dtype.F16: "f16"}
"""The dtypes that are understood, and what the library calls them."""


class Memory:
    """Bytes that Python fills, as `view`, and the library reads, at `address`."""

    def __init__(self, size: int) -> None:
        self.view = memoryview(bytearray(size))
        self.address = ctypes.addressof(ctypes.c_char.from_buffer(self.view))


class PairSums(ctypes.Structure):
    """How many numbers of a and b differ, the largest size of b - a, and sums: of the squares of a, of b, of b - a, and of the products of a and b."""

    _fields_: ClassVar[Sequence[tuple[str, Any]]] = [
        ("changed", ctypes.c_int64),
        *((name, ctypes.c_double) for name in ("max_abs", "aa", "bb", "dd", "ab")),
    ]
    changed: int
    max_abs: float
    aa: float
    bb: float
    dd: float
    ab: float


class OneSums(ctypes.Structure):
    """How many numbers are not zero, the bits that are set in any, the least and the largest (inf and -inf of none), and sums: theirs, their squares'."""

    _fields_: ClassVar[Sequence[tuple[str, Any]]] = [
        ("nonzero", ctypes.c_int64),
        ("bits", ctypes.c_uint64),
        *((name, ctypes.c_double) for name in ("low", "high", "sum", "squares")),
    ]
    nonzero: int
    bits: int
    low: float
    high: float
    sum: float
    squares: float


def pair_adder(a: Dtype, b: Dtype) -> Callable[[int, int, int], PairSums]:
    """Return what takes the addresses of numbers of a and of b, of dtypes in KINDS, and how many there are of each, to their sums. Raises SumsMissing."""
    function, reference = _function(f"pair_{KINDS[a]}_{KINDS[b]}", 2), ctypes.byref

    def add(address_a: int, address_b: int, count: int) -> PairSums:
        sums = PairSums()
        function(address_a, address_b, count, reference(sums))
        return sums

    return add


def one_adder(dtype: Dtype) -> Callable[[int, int], OneSums]:
    """Return what takes the address of numbers of a dtype in KINDS, and how many there are, to their sums. Raises SumsMissing."""
    function, reference = _function(f"one_{KINDS[dtype]}", 1), ctypes.byref

    def add(address: int, count: int) -> OneSums:
        sums = OneSums()
        function(address, count, reference(sums))
        return sums

    return add


def differ(a: int, b: int, count: int) -> bool:
    """Return whether any of `count` bytes at address a differs from that at b. Raises SumsMissing."""
    found = ctypes.c_int64()
    _function("differ", 2)(a, b, count, ctypes.byref(found))
    return bool(found.value)


@cache
def _function(name: str, addresses: int) -> Any:  # noqa: ANN401 - ctypes' own type of functions is private
    """Return a function of the library, for the vectors that this processor has: of so many addresses, a count, and where to leave what is found."""
    library = _library()
    function = library[f"{name}_avx2" if library.has_avx2() else name]
    function.argtypes = (*([ctypes.c_void_p] * addresses), ctypes.c_size_t, ctypes.c_void_p)
    function.restype = None
    return function


@cache
def _library() -> ctypes.CDLL:
    try:
        return ctypes.CDLL(LIBRARY)
    except OSError as error:
        msg = f"the compiled part of ckpt cannot be loaded ({error})"
        raise SumsMissing(msg, path=LIBRARY) from None
