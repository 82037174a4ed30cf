"""What is measured of every dtype, against numpy and blake3; and what must not matter.

Blocks, threads, shards.
"""

from __future__ import annotations

import tracemalloc
from math import fsum, inf, isclose, sqrt
from typing import TYPE_CHECKING, Any

import blake3
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ckpt_tools import api
from ckpt_tools.checkpoint.dtype import Dtype
from ckpt_tools.errors import ChangedDuringRead
from ckpt_tools.values import blocks as values_blocks
from ckpt_tools.values import dtypes
from ckpt_tools.values import measure as values_measure
from ckpt_tools.values.measure import measure
from tests.support.blobs import decoded, sharded, written
from tests.values.test_compare import a_model, sparse

if TYPE_CHECKING:
    from pathlib import Path

    from ckpt_tools.checkpoint.model import Checkpoint
    from ckpt_tools.values.model import Measurement

FLOATS = {
    Dtype.F64: 52,
    Dtype.F32: 23,
    Dtype.C64: 23,
    Dtype.F16: 10,
    Dtype.BF16: 7,
    Dtype.F8_E4M3: 3,
    Dtype.F8_E5M2: 2,
}


def measured(checkpoint: Checkpoint) -> dict[str, Measurement]:
    return {found.name: found for found in measure(checkpoint, cached=False)}


@np.errstate(all="ignore")
def expected(name: str, dtype: Dtype, data: bytes) -> tuple[Any, ...]:
    """Return the exact facts: all except the mean, the norm and the spare bits."""
    values = decoded(data, dtype)
    finite = values[np.isfinite(values)]
    nan, infinite = int(np.isnan(values).sum()), int(np.isinf(values).sum())
    low, high = (float(finite.min()), float(finite.max())) if finite.size else (0.0, 0.0)
    return (
        name,
        blake3.blake3(data).hexdigest(),
        values.size,
        nan,
        infinite,
        low,
        high,
        int((values == 0).sum()),
    )


def assert_measured(found: Measurement, dtype: Dtype, data: bytes) -> None:
    assert (*found[:7], found.zeros) == expected(found.name, dtype, data)
    finite = [float(value) for value in decoded(data, dtype) if np.isfinite(value)]
    scale = max(map(abs, finite), default=0.0) or 1.0
    scaled = [value / scale for value in finite]
    assert isclose(found.l2 / scale, sqrt(fsum(value * value for value in scaled)), rel_tol=1e-12)
    mean_square = fsum(value * value for value in scaled) / max(len(scaled), 1)
    assert isclose(found.rms / scale, sqrt(mean_square), rel_tol=1e-12)
    assert isclose(
        found.mean / scale, fsum(scaled) / max(len(scaled), 1), rel_tol=1e-12, abs_tol=1e-12
    )


@settings(max_examples=150)
@given(
    st.sampled_from(list(Dtype)),
    st.binary(max_size=240).map(lambda data: data[: len(data) // 24 * 24]),
)
def test_measurements_of_any_dtype_match_numpy(
    tmp_path_factory: pytest.TempPathFactory, dtype: Dtype, data: bytes
) -> None:
    assert_measured(
        measured(written(tmp_path_factory.mktemp("facts"), {"x": (dtype, data)}))["x"], dtype, data
    )


def test_measurements_of_large_tensors_match_numpy(tmp_path: Path) -> None:
    model = a_model(0)
    found = measured(written(tmp_path, model))
    for name, (dtype, data) in model.items():
        assert_measured(found[name], dtype, data)


@given(st.sampled_from(list(FLOATS)), st.integers(0, 52), st.binary(min_size=64, max_size=64))
def test_spare_bits_are_low_bits_that_no_value_uses(
    tmp_path_factory: pytest.TempPathFactory, dtype: Dtype, cut: int, data: bytes
) -> None:
    width = 32 if dtype is Dtype.C64 else dtype.bits
    spare = min(cut, FLOATS[dtype])
    codes = [
        int.from_bytes(data[start : start + width // 8], "little") >> spare << spare | 1 << spare
        for start in range(0, 64, width // 8)
    ]
    if spare == FLOATS[dtype]:
        codes = [code & ~(1 << spare) for code in codes]
    blob = b"".join(code.to_bytes(width // 8, "little") for code in codes)
    assert (
        measured(written(tmp_path_factory.mktemp("bits"), {"x": (dtype, blob)}))["x"].zero_low_bits
        == spare
    )


def test_floats_that_fit_bf16_have_16_spare_bits_and_integers_have_none(tmp_path: Path) -> None:
    values = np.arange(-100, 100, dtype="<f4")
    found = measured(
        written(
            tmp_path,
            {
                "x": (Dtype.F32, values.tobytes()),
                "n": (Dtype.I32, bytes(8)),
                "z": (Dtype.F32, bytes(8)),
            },
        )
    )
    assert (found["x"].zero_low_bits, found["n"].zero_low_bits, found["z"].zero_low_bits) == (
        17,
        -1,
        23,
    )


def test_a_bit_used_in_a_single_block_is_not_spare(tmp_path: Path) -> None:
    values = np.ones(2 * dtypes.BLOCK + 5, "<f4")
    for index in (0, dtypes.BLOCK, values.size - 1):
        values[:] = 1.0
        values[index] = 1 + 2.0**-22
        assert (
            measured(written(tmp_path / str(index), {"x": (Dtype.F32, values.tobytes())}))[
                "x"
            ].zero_low_bits
            == 1
        )


def test_empty_and_all_nan_tensors_are_measured(tmp_path: Path) -> None:
    found = measured(
        written(tmp_path, {"empty": (Dtype.F32, b""), "nan": (Dtype.F32, b"\xff" * 8)})
    )
    assert found["empty"][2:10] == (0, 0, 0, 0.0, 0.0, 0.0, 0.0, 0)
    assert found["nan"][2:10] == (2, 2, 0, 0.0, 0.0, 0.0, 0.0, 0)
    assert found["nan"].finite == 0


@pytest.mark.parametrize("value", [1e155, 1e307, 1.7e308])
def test_the_root_mean_square_is_finite_where_the_norm_is_not(value: float, tmp_path: Path) -> None:
    data = np.full(1000, value).tobytes()
    written(tmp_path, {"a": (Dtype.F64, data), "b": (Dtype.F64, data), "c": (Dtype.F64, b"")})
    values = api.show(tmp_path, values=True, cached=False).values
    assert values is not None
    assert [isclose(one.rms, value, rel_tol=1e-12) for one in values.components] == [True]
    assert (values.tensors[0].l2 < inf) == (value < 1e306)


def test_negative_zeros_are_reported_as_zero(tmp_path: Path) -> None:
    found = measured(
        written(tmp_path, {"x": (Dtype.F32, np.array([-0.0, -0.0], "<f4").tobytes())})
    )["x"]
    assert [str(number) for number in (found.low, found.high, found.mean, found.l2)] == ["0.0"] * 4


def test_threads_and_shards_do_not_matter(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = measured(written(tmp_path / "a", a_model(0)))
    assert measured(sharded(tmp_path / "b", a_model(0), 3)) == found
    monkeypatch.setattr(values_measure, "threads", lambda: 5)
    assert measured(written(tmp_path / "c", a_model(0))) == found


@pytest.mark.parametrize("block", [1024])
def test_the_size_of_blocks_does_not_matter(
    block: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = a_model(0)
    checkpoint = written(tmp_path, model)
    once = measured(checkpoint)
    monkeypatch.setattr(values_blocks, "BLOCK", block)
    for name, found in measured(checkpoint).items():
        other = once[name]
        assert found._replace(mean=0.0, l2=0.0, rms=0.0) == other._replace(
            mean=0.0, l2=0.0, rms=0.0
        )
        assert isclose(found.l2, other.l2, rel_tol=1e-12)
        assert isclose(found.rms, other.rms, rel_tol=1e-12)
        assert isclose(found.mean, other.mean, rel_tol=1e-9)


def test_memory_does_not_grow_with_the_checkpoint(tmp_path: Path) -> None:
    checkpoint = sparse(tmp_path / "a", 64 << 20)
    tracemalloc.start()
    try:
        found = measured(checkpoint)["x"]
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert found.zeros == 32 << 20
    assert peak < 12e6 * values_blocks.threads()


def test_a_file_that_becomes_shorter_is_named(tmp_path: Path) -> None:
    checkpoint = written(tmp_path, a_model(0))
    path = tmp_path / "model.safetensors"
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(ChangedDuringRead, match="became shorter") as caught:
        measured(checkpoint)
    assert caught.value.path == str(path)
