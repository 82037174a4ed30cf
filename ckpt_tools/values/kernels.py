"""The compiled sums of `kernels.c`, over the numbers of one tensor or of two, each in one pass.

An accelerator: `reads` is false where it is not installed, and numpy then does the same, slower.
Other threads run while it works. Its sums are right where all numbers are finite; NaN and
infinities make the sums of squares NaN or infinite, by which they are detected.
"""

from __future__ import annotations

import ctypes
import os
from functools import cache
from typing import TYPE_CHECKING, Any, ClassVar
from zlib import crc32

from ckpt_tools.checkpoint.dtype import Dtype

if TYPE_CHECKING:
    from collections.abc import Sequence

LIBRARY = os.path.join(os.path.dirname(__file__), "libkernels.so")
SOURCE = os.path.join(os.path.dirname(__file__), "kernels.c")

NO_KERNEL = "CKPT_NO_KERNEL"
"""The environment variable that, if set, keeps the library from being used or compiled."""

KINDS = {Dtype.F32: "f32", Dtype.BF16: "bf16", Dtype.F16: "f16"}
"""The dtypes that the library reads, and its names for them."""


class Memory:
    """Bytes that Python fills, as `view`, and the library fills and reads, at `address`."""

    def __init__(self, size: int) -> None:
        self.size = size
        self.view = memoryview(bytearray(size))
        self.address = ctypes.addressof(ctypes.c_char.from_buffer(self.view))


class Source(ctypes.Structure):
    """Bytes of a file from an offset on, and the memory that blocks of them are read to."""

    _fields_: ClassVar[Sequence[tuple[str, Any]]] = [
        ("read", ctypes.c_void_p),
        ("descriptor", ctypes.c_int64),
        ("offset", ctypes.c_int64),
        ("memory", ctypes.c_void_p),
        ("size", ctypes.c_size_t),
    ]

    def __init__(self, descriptor: int, offset: int, memory: Memory) -> None:
        super().__init__(_pread(), descriptor, offset, memory.address, memory.size)
        self.kept = memory  # an address keeps nothing alive


class PairSums(ctypes.Structure):
    """How many numbers of a and b differ, the largest |b - a|, and sums.

    Of the squares of a, of b, of b - a, and of the products of a and b.
    """

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
    """How many numbers are not zero, the bits that are set in any, and the range and sums.

    The range is (inf, -inf) of no numbers; the sums are of the numbers and of their squares.
    """

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


def reads(*dtypes: Dtype) -> bool:
    """Whether the library is installed and reads all these dtypes; the functions below need it."""
    return all(dtype in KINDS for dtype in dtypes) and library() is not None


def pair_of_files(
    dtypes: tuple[Dtype, Dtype], a: Source, b: Source, count: int
) -> tuple[int, PairSums]:
    """Return how many of `count` numbers of a and of b were added up, and their sums.

    It ends before a block that could not be read, or holds numbers that are not finite.
    """
    sums = PairSums()
    return _function("pair_of_files", *dtypes)(
        ctypes.byref(a), ctypes.byref(b), count, ctypes.byref(sums)
    ), sums


def one_of_file(dtype: Dtype, a: Source, count: int) -> tuple[int, OneSums]:
    """Return how many of `count` numbers of a were added up, and their sums.

    It ends as `pair_of_files` does.
    """
    sums = OneSums()
    return _function("one_of_file", dtype)(ctypes.byref(a), count, ctypes.byref(sums)), sums


def same_in_files(a: Source, b: Source, count: int) -> bool | None:
    """Return whether `count` bytes of a and b are the same, None if some could not be read."""
    found = _function("same_in_files")(ctypes.byref(a), ctypes.byref(b), count)
    return None if found < 0 else bool(found)


def pair(dtypes: tuple[Dtype, Dtype], a: int, b: int, count: int) -> PairSums:
    """Return the sums over `count` numbers at address a, and as many at b."""
    sums = PairSums()
    _function("pair", *dtypes)(a, b, count, ctypes.byref(sums))
    return sums


def one(dtype: Dtype, a: int, count: int) -> OneSums:
    """Return the sums over `count` numbers at address a."""
    sums = OneSums()
    _function("one", dtype)(a, count, ctypes.byref(sums))
    return sums


_POINTER, _COUNT = ctypes.c_void_p, ctypes.c_size_t
_TYPES = {
    "pair_of_files": (_COUNT, (_POINTER, _POINTER, _COUNT, _POINTER)),
    "one_of_file": (_COUNT, (_POINTER, _COUNT, _POINTER)),
    "same_in_files": (ctypes.c_int, (_POINTER, _POINTER, _COUNT)),
    "pair": (None, (_POINTER, _POINTER, _COUNT, _POINTER)),
    "one": (None, (_POINTER, _COUNT, _POINTER)),
}
"""The return type and the parameter types of each function."""


@cache
def _function(name: str, *dtypes: Dtype) -> Any:  # noqa: ANN401 - ctypes' own type of functions is private
    """Return a function of the library for these dtypes and this processor's vectors."""
    found: Any = library()  # callers check `reads`
    function = found[
        "_".join((name, *(KINDS[dtype] for dtype in dtypes)))
        + ("_wide" if found.has_wide() else "")
    ]
    function.restype, function.argtypes = _TYPES[name]
    return function


@cache
def _pread() -> int | None:
    """Return the address of the system's positional read, with offsets of 64 bits."""
    system = ctypes.CDLL(None)
    return ctypes.cast(getattr(system, "pread64", None) or system.pread, ctypes.c_void_p).value


@cache
def library() -> ctypes.CDLL | None:
    """Return the library, None if it is not installed, does not load, or is of another source.

    One of another source might take its arguments for something else.
    """
    if os.environ.get(NO_KERNEL):
        return None
    try:
        found = ctypes.CDLL(LIBRARY)
        source = ctypes.c_uint32(found.source_sum()).value
        with open(SOURCE, "rb") as file:
            return found if source == crc32(file.read()) else None
    except (OSError, AttributeError):
        return None
