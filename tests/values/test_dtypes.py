"""Every dtype decoded, against ml_dtypes, torch and numpy; sums neither drift nor overflow.

All codes of up to 16 bits, any bits of wider ones.
"""

from __future__ import annotations

from fractions import Fraction
from math import fsum, isclose, sqrt
from typing import TYPE_CHECKING, Any

import ml_dtypes
import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from ckpt_tools.checkpoint.dtype import Dtype
from ckpt_tools.values import dtypes
from ckpt_tools.values.dtypes import decode, dot, product, root, total
from tests.support.blobs import JUDGES, decoded

if TYPE_CHECKING:
    from collections.abc import Sequence

TORCH = {
    Dtype.F8_E5M2: torch.float8_e5m2, Dtype.F8_E4M3: torch.float8_e4m3fn,
    Dtype.F8_E8M0: torch.float8_e8m0fnu, Dtype.F8_E4M3FNUZ: torch.float8_e4m3fnuz,
    Dtype.F8_E5M2FNUZ: torch.float8_e5m2fnuz, Dtype.BF16: torch.bfloat16, Dtype.F16: torch.float16,
    Dtype.I8: torch.int8, Dtype.U8: torch.uint8, Dtype.I16: torch.int16, Dtype.BOOL: torch.bool,
}  # fmt: skip
SMALL = [dtype for dtype in Dtype if dtype.bits <= 16]
WIDE = [dtype for dtype in Dtype if dtype.bits > 16]


def all_codes(dtype: Dtype) -> bytes:
    """Return every possible element, packed."""
    if dtype is Dtype.BOOL:
        return b"\x00\x01"
    if dtype.bits >= 8:
        return np.arange(1 << dtype.bits, dtype=f"<u{dtype.bits // 8}").tobytes()
    packed = sum(code << dtype.bits * code for code in range(1 << dtype.bits))
    return packed.to_bytes((1 << dtype.bits) * dtype.bits // 8, "little")


@np.errstate(all="ignore")
def values(data: bytes, dtype: Dtype) -> Any:
    return decode(np.frombuffer(data, "u1"), dtype)


@np.errstate(all="ignore")
def assert_same(found: Any, expected: Any) -> None:
    """Assert equal numbers, including the sign of zeros; any NaN equals any NaN."""
    nan = np.isnan(expected)
    assert found.size == expected.size
    assert np.array_equal(np.isnan(found), nan)
    assert np.array_equal(found[~nan].astype(np.longdouble), expected[~nan])
    assert np.array_equal(np.signbit(found[~nan]), np.signbit(expected[~nan]))


def test_every_dtype_of_the_format_is_decoded() -> None:
    for dtype in Dtype:
        assert values(bytes(24), dtype).size == 8 * 24 // dtype.bits * (
            2 if dtype is Dtype.C64 else 1
        )


@pytest.mark.parametrize("dtype", SMALL, ids=str)
def test_every_code_of_a_small_dtype_matches_ml_dtypes_and_numpy(dtype: Dtype) -> None:
    assert_same(values(all_codes(dtype), dtype), decoded(all_codes(dtype), dtype))


@pytest.mark.parametrize("dtype", TORCH, ids=str)
def test_every_code_of_a_small_dtype_matches_torch(dtype: Dtype) -> None:
    data = np.frombuffer(all_codes(dtype), "u1").copy()
    judged = torch.from_numpy(data).view(TORCH[dtype]).to(torch.float32).numpy()
    with np.errstate(all="ignore"):
        assert_same(values(data.tobytes(), dtype), judged.astype(np.longdouble))


@given(
    st.sampled_from(WIDE),
    st.binary(min_size=8, max_size=256).map(lambda data: data[: len(data) // 8 * 8]),
)
def test_any_bits_of_a_wide_dtype_match_numpy(dtype: Dtype, data: bytes) -> None:
    expected = decoded(data, dtype)
    assert_same(
        values(data, dtype),
        expected.astype("f8").astype(np.longdouble)
        if dtype in (Dtype.I64, Dtype.U64)
        else expected,
    )


@pytest.mark.parametrize("dtype", JUDGES, ids=str)
def test_mantissa_lengths_match_ml_dtypes(dtype: Dtype) -> None:
    assert dtypes.MANTISSA[dtype] == int(ml_dtypes.finfo(JUDGES[dtype]).nmant)  # type: ignore[no-untyped-call] # ml_dtypes has no types for it


@given(st.lists(st.floats(allow_nan=False, allow_infinity=False), max_size=40))
def test_norms_match_exact_arithmetic(items: list[float]) -> None:
    with np.errstate(all="ignore"):
        found = product(np.array(items, "f8"), np.array(items, "f8"))
    expected = sum((Fraction(item) ** 2 for item in items), Fraction(0))
    assert abs(Fraction(found[0]) * Fraction(2) ** found[1] - expected) <= expected * Fraction(
        1, 10**13
    )


@pytest.mark.parametrize(
    "count", [0, 1, dtypes.ROW - 1, dtypes.ROW, dtypes.ROW + 1, 5 * dtypes.ROW + 3]
)
def test_dot_products_match_exact_sums(count: int) -> None:
    random = np.random.default_rng(count)
    x, y = random.standard_normal(count), random.standard_normal(count)
    assert isclose(dot(x, x), fsum(item * item for item in x.tolist()), rel_tol=1e-14)
    assert isclose(
        dot(x, y),
        fsum(a * b for a, b in zip(x.tolist(), y.tolist(), strict=True)),
        rel_tol=1e-12,
        abs_tol=1e-12 * count,
    )


@pytest.mark.parametrize(
    ("parts", "expected"),
    [
        ([], 0.0),
        ([(0.0, 40), (4.0, 0)], 2.0),
        ([(1.0, 2000), (1.0, 2000)], sqrt(2) * 2.0**1000),
        ([(1.0, 4000)], float("inf")),
        ([(1.0, -2000)], 2.0**-1000),
    ],
)
def test_scaled_sums_and_square_roots(parts: Sequence[tuple[float, int]], expected: float) -> None:
    assert root(total(parts)) == expected
