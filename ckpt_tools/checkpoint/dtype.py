"""The element types of the safetensors format, 0.8: 22 of them, with their width in bits."""

from __future__ import annotations

from enum import Enum


class Dtype(Enum):
    """An element type.

    The members are in the reference library's order; its writer lays tensors out in the reverse.
    """

    BOOL = ("BOOL", 8)
    F4 = ("F4", 4)
    F6_E2M3 = ("F6_E2M3", 6)
    F6_E3M2 = ("F6_E3M2", 6)
    U8 = ("U8", 8)
    I8 = ("I8", 8)
    F8_E5M2 = ("F8_E5M2", 8)
    F8_E4M3 = ("F8_E4M3", 8)
    F8_E8M0 = ("F8_E8M0", 8)
    F8_E4M3FNUZ = ("F8_E4M3FNUZ", 8)
    F8_E5M2FNUZ = ("F8_E5M2FNUZ", 8)
    I16 = ("I16", 16)
    U16 = ("U16", 16)
    F16 = ("F16", 16)
    BF16 = ("BF16", 16)
    I32 = ("I32", 32)
    U32 = ("U32", 32)
    F32 = ("F32", 32)
    C64 = ("C64", 64)
    F64 = ("F64", 64)
    I64 = ("I64", 64)
    U64 = ("U64", 64)

    def __init__(self, label: str, bits: int) -> None:
        self.label = label
        self.bits = bits

    __hash__ = object.__hash__  # members are unique; Enum's own is slow, and asked of every tensor

    def __str__(self) -> str:
        """Return safetensors' name of the type."""
        return self.label


DTYPES = {dtype.label: dtype for dtype in Dtype}
"""The types by their names."""

FLOATS = (Dtype.F8_E4M3, Dtype.F8_E5M2, Dtype.F16, Dtype.BF16, Dtype.F32, Dtype.F64)
"""The types that can be cast to each other, narrow to wide."""
