"""Casts, compared with torch: the same bits for every number, a NaN for a NaN.

And whether a cast loses anything, against casting back.
"""

from __future__ import annotations

import itertools
import os
from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch

from ckpt_tools.checkpoint.dtype import FLOATS, Dtype
from ckpt_tools.checkpoint.model import Source
from ckpt_tools.errors import ChangedDuringRead, EditRefused
from ckpt_tools.values import cast as values_cast
from ckpt_tools.values.cast import CHUNK, cast, cast_stream, loses_nothing, overflow

if TYPE_CHECKING:
    from pathlib import Path

TORCH = {
    Dtype.F64: torch.float64,
    Dtype.F32: torch.float32,
    Dtype.F16: torch.float16,
    Dtype.BF16: torch.bfloat16,
    Dtype.F8_E4M3: torch.float8_e4m3fn,
    Dtype.F8_E5M2: torch.float8_e5m2,
}
BITS = {8: torch.uint8, 16: torch.int16, 32: torch.int32, 64: torch.int64}
PAIRS = list(itertools.permutations(FLOATS, 2))


@cache
def all_values(dtype: Dtype) -> Any:
    """Return every value of a small dtype, or a million of a large one.

    Those are close to the values of BF16 and F16, and random.
    """
    random = np.random.default_rng(0)
    if dtype.bits <= 16:
        return np.arange(1 << dtype.bits, dtype=f"<u{dtype.bits // 8}").view("u1")
    halves = np.arange(65536, dtype="<u4")
    with np.errstate(all="ignore"):
        near = [
            halves << 16,
            (halves << 16) + 0x8000,
            halves.astype("<u2").view("<f2").astype("<f4").view("<u4") + 0x1000,
        ]
        values = np.concatenate(
            [bits + np.uint32(step & 0xFFFFFFFF) for bits in near for step in (-1, 0, 1)]
            + [random.integers(0, 1 << 32, 1 << 19, dtype="<u4")]
        )
        if dtype is Dtype.F32:
            return values.view("u1")
        doubles = values.view("<f4").astype("<f8").view("<u8")
        return np.concatenate(
            [doubles - 1, doubles, doubles + 1, random.integers(0, 1 << 63, 1 << 18, dtype="<u8")]
        ).view("u1")


def as_torch(data: Any, dtype: Dtype) -> torch.Tensor:
    return torch.from_numpy(data.view("u1").copy()).view(TORCH[dtype])


@pytest.mark.parametrize(("old", "new"), PAIRS, ids=str)
def test_every_cast_matches_torch_bit_for_bit(old: Dtype, new: Dtype) -> None:
    data = all_values(old)
    expected, found = as_torch(data, old).to(TORCH[new]), as_torch(cast(data, old, new), new)
    nan = torch.isnan(expected.float())
    assert torch.equal(nan, torch.isnan(found.float()))
    assert torch.equal(expected.view(BITS[new.bits])[~nan], found.view(BITS[new.bits])[~nan])


@pytest.mark.parametrize(("old", "new"), PAIRS, ids=str)
def test_a_nan_keeps_its_sign(old: Dtype, new: Dtype) -> None:
    data = cast(np.array([np.nan, -np.nan], "<f4").view("u1"), Dtype.F32, old).view("u1")
    assert torch.signbit(as_torch(cast(data, old, new), new).double()).tolist() == [False, True]


@pytest.mark.parametrize("dtype", FLOATS, ids=str)
def test_a_cast_to_the_same_dtype_changes_nothing(dtype: Dtype) -> None:
    assert cast(all_values(dtype), dtype, dtype).tobytes() == all_values(dtype).tobytes()


def source_of(path: Path, data: bytes, dtype: Dtype, start: int = 3) -> Source:
    path.write_bytes(b"x" * start + data + b"yz")
    return Source(str(path), start, start + len(data), dtype)


@pytest.mark.parametrize("size", [0, 4, CHUNK - 4, CHUNK, CHUNK + 4, 3 * CHUNK + 8])
def test_a_stream_of_any_length_is_cast_to_its_offset(size: int, tmp_path: Path) -> None:
    data = np.random.default_rng(1).standard_normal(size // 4, dtype="<f4")
    piece = source_of(tmp_path / "source", data.tobytes(), Dtype.F32)
    seen: list[int] = []
    read, write = (
        os.open(piece.file, os.O_RDONLY),
        os.open(tmp_path / "target", os.O_RDWR | os.O_CREAT),
    )
    assert cast_stream(read, write, piece, Dtype.BF16, 5, seen.append) == size // 2 == sum(seen)
    assert (
        os.pread(write, size + 9, 0)[5:] == cast(data.view("u1"), Dtype.F32, Dtype.BF16).tobytes()
    )
    os.close(read)
    os.close(write)


@pytest.mark.parametrize(("old", "new"), PAIRS, ids=str)
def test_the_values_that_overflow_are_counted_as_torch_has_them(
    old: Dtype, new: Dtype, tmp_path: Path
) -> None:
    data = all_values(old)
    values = as_torch(data, old).double()
    lost = values.isfinite() & ~as_torch(data, old).to(TORCH[new]).double().isfinite()
    found = overflow(source_of(tmp_path / "source", data.tobytes(), old), new)
    assert found.values == int(lost.sum())
    assert found.largest == (float(values[lost].abs().max()) if lost.any() else 0)


def test_a_source_that_ends_early_is_reported_as_changed(tmp_path: Path) -> None:
    piece = source_of(tmp_path / "source", bytes(CHUNK), Dtype.F32)
    os.truncate(piece.file, CHUNK // 2)
    with pytest.raises(ChangedDuringRead) as raised:
        loses_nothing(piece, Dtype.BF16)
    assert str(raised.value).startswith(f"{piece.file}: became shorter while it was read; ")


@pytest.mark.parametrize(("old", "new"), PAIRS, ids=str)
def test_a_cast_is_lossless_if_and_only_if_every_value_round_trips(
    old: Dtype, new: Dtype, tmp_path: Path
) -> None:
    data = all_values(old)
    values = as_torch(data, old)
    number = values[~torch.isnan(values.float())]
    there = number.to(TORCH[new])
    same = number.view(BITS[old.bits]) == there.to(TORCH[old]).view(BITS[old.bits])
    if same.all():
        assert new in values_cast._WIDER[old]
        assert loses_nothing(source_of(tmp_path / "a", data.tobytes(), old), new)
        return
    exact = number[same].view(torch.uint8).numpy().tobytes()
    assert exact
    assert loses_nothing(source_of(tmp_path / "a", exact, old), new)
    for lost in number[~same][:: max(1, int((~same).sum()) // 5)]:
        assert not loses_nothing(
            source_of(
                tmp_path / "a", exact + lost.reshape(1).view(torch.uint8).numpy().tobytes(), old
            ),
            new,
        )


@pytest.mark.parametrize(
    ("bits", "lossless"),
    [
        (0x7FC00000, True),
        (0xFFC00000, True),
        (0x7F810000, True),
        (0x7FC00001, False),
        (0x7F800001, False),
        (0x7F800000, True),
        (0x80000000, True),
    ],
)
def test_an_f32_nan_is_lossless_if_its_payload_fits(
    bits: int,
    lossless: bool,
    tmp_path: Path,
) -> None:
    data = np.array([bits, 0x3F810001], "<u4")
    assert (
        loses_nothing(source_of(tmp_path / "a", data[:1].tobytes(), Dtype.F32), Dtype.BF16)
        == lossless
    )
    for length in (1, 2):  # beside a number that is rounded, too
        there = cast(data[:length].view("u1"), Dtype.F32, Dtype.BF16)
        assert (int(there[0]) << 16 == bits) == lossless


def test_a_loss_at_the_end_of_a_large_tensor_is_found(tmp_path: Path) -> None:
    data = np.zeros(3 * CHUNK // 4 + 1, "<u4")
    assert loses_nothing(source_of(tmp_path / "a", data.tobytes(), Dtype.F32), Dtype.BF16)
    data[-1] = 1
    assert not loses_nothing(source_of(tmp_path / "a", data.tobytes(), Dtype.F32), Dtype.BF16)


def test_the_search_for_a_loss_stops_at_the_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    piece = source_of(tmp_path / "a", b"\1" * (4 * CHUNK), Dtype.F32)
    reads: list[int] = []
    original = os.preadv

    def spy(descriptor: int, buffers: list[memoryview], offset: int) -> int:
        reads.append(offset)
        return original(descriptor, buffers, offset)

    monkeypatch.setattr(os, "preadv", spy)
    assert not loses_nothing(piece, Dtype.BF16)
    assert reads == [3]


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (Dtype.F32, Dtype.I32),
        (Dtype.U8, Dtype.F16),
        (Dtype.C64, Dtype.F32),
        (Dtype.F8_E8M0, Dtype.F32),
    ],
)
def test_dtypes_that_cannot_be_cast_are_rejected_by_name(
    old: Dtype, new: Dtype, tmp_path: Path
) -> None:
    piece = source_of(tmp_path / "a", bytes(8), old)
    words = (
        f"{old} cannot be cast to {new}; these can be cast into each other: F8_E4M3, F8_E5M2,"
        " F16, BF16, F32, F64"
    )
    with pytest.raises(EditRefused) as raised:
        loses_nothing(piece, new)
    assert str(raised.value) == words
    with pytest.raises(EditRefused) as raised:
        cast_stream(-1, -1, piece, new, 0)
    assert str(raised.value) == words
