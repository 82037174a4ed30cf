"""Casts that round, and casts that would make values infinite."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

from ckpt_tools import api
from ckpt_tools.checkpoint.dtype import Dtype
from ckpt_tools.edit.operations import Cast
from ckpt_tools.errors import CastInfinite, CastLossy
from tests.support.checkpoints import weights

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

VALUES = {
    "small": [1.0, 0.1, -3.0],
    "large": [70_000.0, -1e6, 1.0],
    "larger": [65_504.0, 65_519.0, 65_520.0],
    "endless": [float("inf"), float("nan"), 0.1],
}


def blob(dtype: Dtype, numbers: list[float]) -> tuple[Dtype, tuple[int, ...], bytes]:
    kind = "<f8" if dtype is Dtype.F64 else "<f4"
    return dtype, (len(numbers),), np.array(numbers, kind).tobytes()


@pytest.fixture
def checkpoint(tmp_path: Path) -> Callable[..., str]:
    def write(*names: str, dtype: Dtype = Dtype.F32, **more: list[float]) -> str:
        values = {name: VALUES[name] for name in names} | more
        path = tmp_path / "model.safetensors"
        path.write_bytes(weights({name: blob(dtype, value) for name, value in values.items()}))
        return str(path)

    return write


def test_values_that_would_become_infinite_are_counted_and_refused(
    checkpoint: Callable[..., str],
) -> None:
    with pytest.raises(CastInfinite) as raised:
        api.plan(checkpoint("small", "large", "larger"), [Cast(Dtype.F16, lossy=True)])
    assert str(raised.value) == (
        '3 values of 2 tensors become infinite in F16, the largest 1e+06, in tensor "large";'
        " leave these tensors out with select=, choose a dtype of larger range (BF16, F32), or"
        " pass infinite=True"
    )


def test_allowed_infinities_are_counted_apart_from_what_rounds(
    checkpoint: Callable[..., str], tmp_path: Path
) -> None:
    where = checkpoint("small", "large", "endless")
    plan = api.plan(where, [Cast(Dtype.F16, lossy=True, infinite=True)])
    (step,) = plan.steps
    assert step.text == (
        "cast F32 to F16: 3 tensors rounded, 2 values of 1 tensor become infinite in F16"
    )
    api.write(plan, tmp_path / "narrow.safetensors")
    after = (tmp_path / "narrow.safetensors").read_bytes()
    assert np.isinf(np.frombuffer(after[-18:], "<f2")).sum() == 3


def test_rounding_alone_needs_no_second_option(checkpoint: Callable[..., str]) -> None:
    where = checkpoint("small", "endless", fits=[65_519.0, 0.1])
    (step,) = api.plan(where, [Cast(Dtype.F16, lossy=True)]).steps
    assert step.text == "cast F32 to F16: 3 tensors rounded"


def test_infinite_alone_allows_no_rounding(checkpoint: Callable[..., str]) -> None:
    with pytest.raises(CastLossy):
        api.plan(checkpoint("large"), [Cast(Dtype.F16, infinite=True)])


def test_a_tensor_that_would_hold_infinities_is_skipped_where_skipping_is_asked_for(
    checkpoint: Callable[..., str],
) -> None:
    where = checkpoint("small", "large")
    plan = api.plan(where, [Cast(Dtype.F16, lossy=True, skip=True)])
    assert {tensor.name: tensor.dtype for tensor in plan.after.tensors} == {
        "small": Dtype.F16,
        "large": Dtype.F32,
    }


@pytest.mark.parametrize(
    ("old", "new", "numbers", "what"),
    [
        (Dtype.F64, Dtype.F32, [1e39, 1.0], "1 value of 1 tensor becomes infinite in F32"),
        (Dtype.F32, Dtype.BF16, [3.4e38, 0.1], "1 value of 1 tensor becomes infinite in BF16"),
        (Dtype.F32, Dtype.F8_E5M2, [6e4, 6.2e4], "1 value of 1 tensor becomes infinite in F8_E5M2"),
        (Dtype.F32, Dtype.F8_E4M3, [460.0, 470.0], "1 value of 1 tensor becomes NaN in F8_E4M3"),
    ],
)
def test_overflow_is_found_in_every_type(
    old: Dtype, new: Dtype, numbers: list[float], what: str, checkpoint: Callable[..., str]
) -> None:
    where = checkpoint(dtype=old, one=numbers)
    with pytest.raises(CastInfinite) as raised:
        api.plan(where, [Cast(new, lossy=True)])
    assert raised.value.what.startswith(what)
