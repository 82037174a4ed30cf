"""The rules about tensor values, and the measurements they use."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ckpt_tools import api
from ckpt_tools.checkpoint.dtype import Dtype
from ckpt_tools.progress import SILENT, Progress
from ckpt_tools.values import measure as module
from ckpt_tools.values.blocks import STEP
from ckpt_tools.values.measure import measure
from tests.support.cases import FIXTURES, GOOD, Case, hold, make, tensors, untouched

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

HEAD = "model.vlm_with_expert.vlm.lm_head.weight"
PROJECTION = "model.action_in_proj.weight"
BIAS = "model.action_in_proj.bias"


def with_value(
    name: str, value: float, *, everywhere: bool = False, where: int = 0
) -> Callable[[dict[str, Any]], dict[str, Any]]:
    """Put a number into one place of a tensor, or everywhere."""

    def update(held: dict[str, Any]) -> dict[str, Any]:
        blob = held[name]
        number = (
            struct.pack("<f", value)[2:] if blob.dtype is Dtype.BF16 else struct.pack("<f", value)
        )
        count = len(blob.data) // len(number)
        data = (
            number * count
            if everywhere
            else blob.data[: where * len(number)] + number + blob.data[(where + 1) * len(number) :]
        )
        return held | {name: blob._replace(data=data)}

    return update


def full(name: str, value: float) -> Callable[[dict[str, Any]], dict[str, Any]]:
    """Put a number everywhere."""
    return with_value(name, value, everywhere=True)


def ones(held: dict[str, Any]) -> dict[str, Any]:
    """The text model as its config makes it."""
    norms = [name for name in held if ".text_model." in name and name.endswith("norm.weight")]
    for name in norms:
        held = with_value(name, 1.0, everywhere=True)(held)
    return held


def fresh(held: dict[str, Any]) -> dict[str, Any]:
    """The VLM as its config makes it: norms 1, biases 0, all matrices of one distribution."""
    held, rng = ones(held), np.random.default_rng(0)
    for name, blob in list(held.items()):
        if ".vision_model." in name and name.endswith(".bias"):
            held = with_value(name, 0.0, everywhere=True)(held)
        elif ".text_model.layers." in name and len(blob.shape) > 1:
            held = drawn(name, rng, 0.02)(held)
    return held


def drawn(
    name: str, rng: np.random.Generator, spread: float
) -> Callable[[dict[str, Any]], dict[str, Any]]:
    """Draw a matrix from a normal distribution."""

    def change(held: dict[str, Any]) -> dict[str, Any]:
        shape = held[name].shape
        numbers = rng.normal(0, spread, np.prod(shape, dtype=int)).astype("<f4")
        data = (numbers.view("<u4") >> 16).astype("<u2").tobytes()
        return held | {name: make.Blob(Dtype.BF16, shape, data)}

    return change


def all_but_one(held: dict[str, Any]) -> dict[str, Any]:
    return with_value("model.vlm_with_expert.vlm.model.text_model.norm.weight", 1.25)(fresh(held))


def with_a_bias(held: dict[str, Any]) -> dict[str, Any]:
    """As above, but the vision tower moved, as training in BF16 moves it."""
    return with_value("model.vlm_with_expert.vlm.model.vision_model.post_layernorm.bias", 0.01)(
        fresh(held)
    )


def with_a_matrix(held: dict[str, Any]) -> dict[str, Any]:
    """As above, but a layer was trained."""
    name = "model.vlm_with_expert.vlm.model.text_model.layers.1.mlp.up_proj.weight"
    return drawn(name, np.random.default_rng(1), 0.2)(fresh(held))


def with_new(
    name: str, shape: tuple[int, ...], value: float
) -> Callable[[dict[str, Any]], dict[str, Any]]:
    """Add a tensor that is one number throughout."""
    count = np.prod(shape, dtype=int)
    return lambda held: held | {name: make.Blob(Dtype.F32, shape, struct.pack("<f", value) * count)}


def zero_points(held: dict[str, Any]) -> dict[str, Any]:
    """Add what a symmetric quantisation keeps of each layer: one and the same integer."""
    return held | {
        "model.qzeros": make.Blob(Dtype.I32, (4, 8), struct.pack("<i", 0x77777777) * 32),
        "model.g_idx": make.Blob(Dtype.I32, (2, 2), bytes(16)),
    }


VALUES = {"values": True}
ROWS = (
    tensors(zero_points),
    *(tensors(with_new("mask_token", shape, 0.0)) for shape in ((1, 768), (1, 1, 9), (9, 1))),
)
CASES = [
    Case(
        "CK401",
        tensors(with_value(HEAD, float("nan"), where=3)),
        (tensors(with_value(HEAD, 3.0e4)), untouched),
        options=VALUES,
    ),
    Case(
        "CK401",
        tensors(with_value(PROJECTION, float("-nan"), where=1)),
        (untouched,),
        options=VALUES,
    ),
    Case(
        "CK402",
        tensors(with_value(HEAD, float("-inf"))),
        (tensors(with_value(HEAD, -9.0e4)), untouched),
        options=VALUES,
    ),
    Case(
        "CK402",
        tensors(with_value(PROJECTION, float("inf"), where=2)),
        (untouched,),
        options=VALUES,
    ),
    Case(
        "CK403",
        tensors(full(PROJECTION, 0.0)),
        (tensors(full(BIAS, 0.0)), tensors(with_value(PROJECTION, 0.0))),
        options=VALUES,
    ),
    Case(
        "CK404",
        tensors(full(HEAD, 0.5)),
        (tensors(full(BIAS, 0.5)), tensors(with_value(HEAD, 0.5))),
        options=VALUES,
    ),
    Case("CK403", tensors(with_new("extra", (1, 2, 2), 0.0)), ROWS, frozenset({"CK306"}), VALUES),
    Case(
        "CK404",
        tensors(with_new("extra", (1, 2, 2), 1.0)),
        (*ROWS, tensors(with_new("cls_token", (1, 1, 9), 1.0))),
        frozenset({"CK306"}),
        VALUES,
    ),
    Case(
        "CK405",
        tensors(fresh),
        tuple(tensors(near) for near in (all_but_one, with_a_bias, with_a_matrix, ones)),
        options=VALUES,
    ),
    Case(
        "CK406",
        tensors(with_value(HEAD, -2.0e5)),
        (tensors(with_value(HEAD, 9.9e4)), untouched),
        options=VALUES,
    ),
]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.code)
def test_a_rule_finds_its_fault_and_no_near_miss(case: Case, tmp_path: Path) -> None:
    hold(case, tmp_path)


def test_good_checkpoints_have_no_findings() -> None:
    for name in GOOD:
        verification = api.verify(str(FIXTURES / name), values=True)
        assert [
            finding for finding in verification.findings if finding.code.startswith("CK4")
        ] == []
        assert {"CK401", "CK406"} <= set(verification.checked)


def test_values_are_read_only_on_request() -> None:
    skipped = dict(api.verify(str(FIXTURES / "normal")).skipped)
    assert skipped["CK401"] == "tensor values not read (use `--values`)"


NUMPY = {Dtype.F64: "<f8", Dtype.F32: "<f4", Dtype.F16: "<f2", Dtype.I64: "<i8", Dtype.U8: "u1"}


def written(folder: Path, dtype: Dtype, data: bytes, shape: tuple[int, ...]) -> str:
    folder.mkdir(exist_ok=True)
    make.write_safetensors(folder / "model.safetensors", {"x": make.Blob(dtype, shape, data)})
    return str(folder)


type Facts = tuple[int, int, int, float, float]
"""Numbers, NaN, infinities, and the range of the rest."""


def facts(where: str, progress: Progress = SILENT) -> Facts:
    """Return what the rules use of the only tensor's measurement."""
    (found,) = measure(api.read(where), digests=False, progress=progress)
    return found.elements, found.nan, found.infinite, found.low, found.high


def expected(values: np.ndarray[Any, Any]) -> Facts:
    finite = values[np.isfinite(values)] if values.dtype.kind == "f" else values
    nan, infinite = (
        (int(np.isnan(values).sum()), int(np.isinf(values).sum()))
        if values.dtype.kind == "f"
        else (0, 0)
    )
    low, high = (float(finite.min()), float(finite.max())) if finite.size else (0.0, 0.0)
    return values.size, nan, infinite, low, high


@settings(max_examples=60, deadline=None)
@given(
    dtype=st.sampled_from([*NUMPY, Dtype.BF16]),
    data=st.binary(min_size=8, max_size=400).map(lambda data: data[: len(data) // 8 * 8]),
)
def test_facts_agree_with_numpy_for_any_bits(
    dtype: Dtype, data: bytes, tmp_path_factory: pytest.TempPathFactory
) -> None:
    size = dtype.bits // 8
    values = (
        (np.frombuffer(data, "<u2").astype("<u4") << 16).view("<f4")
        if dtype is Dtype.BF16
        else np.frombuffer(data, NUMPY[dtype])
    )
    where = written(tmp_path_factory.mktemp("facts"), dtype, data, (len(data) // size,))
    with np.errstate(all="ignore"):
        assert facts(where) == expected(values)


@pytest.mark.parametrize("place", [0, STEP // 2 - 1, STEP // 2, STEP + 7])
def test_a_single_nan_is_found_at_any_position(place: int, tmp_path: Path) -> None:
    count = STEP + 8
    bits = np.full(count, 0x3F80, "<u2")
    bits[place] = 0xFFC1
    where = written(tmp_path / "a", Dtype.BF16, bits.tobytes(), (count,))
    assert facts(where) == (count, 1, 0, 1.0, 1.0)


def test_an_empty_tensor_and_one_of_a_rare_dtype_are_measured(tmp_path: Path) -> None:
    assert facts(written(tmp_path / "a", Dtype.F32, b"", (0, 3))) == (0, 0, 0, 0.0, 0.0)
    rare = written(tmp_path / "b", Dtype.F8_E8M0, b"\x7f\x80\xff", (3,))
    assert facts(rare) == (3, 1, 0, 1.0, 2.0)


@pytest.mark.parametrize("dtype", [Dtype.F32, Dtype.F16])
def test_a_large_tensor_is_measured_in_parts_so_that_an_interrupt_is_handled_soon(
    dtype: Dtype, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "PIECE", 1024)
    size, seen = dtype.bits // 8, list[int]()
    facts(written(tmp_path, dtype, bytes(size * 5000), (5000,)), Progress(seen.append))
    assert seen == [1024 * size] * 4 + [904 * size]
