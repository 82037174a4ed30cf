"""What the doctor says of stored dtypes, by what differs and not by the family that is usual."""

from __future__ import annotations

import re
from math import prod
from struct import pack
from typing import TYPE_CHECKING, Any

import pytest

from ckpt_tools import api
from ckpt_tools.checkpoint.dtype import Dtype
from ckpt_tools.cli.main import main
from ckpt_tools.doctor.model import CauseCode, Effect
from ckpt_tools.edit.operations import Reshard
from tests.support.cases import NORMAL, changed
from tests.support.checkpoints import weights
from tests.support.models import model, payload

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from ckpt_tools.doctor.model import Cause

BF16, F16, F32, F64, I8 = Dtype.BF16, Dtype.F16, Dtype.F32, Dtype.F64, Dtype.I8
SHAPES = {
    "model.encoder.layers.0.linear1.weight": (8, 8),
    "model.encoder.layers.0.linear1.bias": (8,),
    "model.action_head.weight": (7, 8),
    "model.action_head.bias": (7,),
}
FEATURES: dict[str, Any] = {
    "input_features": {"observation.state": {"type": "STATE", "shape": [6]}},
    "output_features": {"action": {"type": "ACTION", "shape": [7]}},
}
ACT: dict[str, Any] = {"type": "act", **FEATURES}
OTHER: dict[str, Any] = {"type": "my_policy", **FEATURES}
STORIES = re.compile("load_vlm_weights|unaffected|larger", re.IGNORECASE)


def checkpoint(folder: Path, config: dict[str, Any], *dtypes: Dtype) -> str:
    """Write a policy whose tensors have these dtypes in turn."""
    shapes = {
        name: (dtypes[place % len(dtypes)], shape)
        for place, (name, shape) in enumerate(SHAPES.items())
    }
    return str(model(folder, shapes, {"config.json": config}))


def causes(
    tmp_path: Path, config: dict[str, Any], normal: tuple[Dtype, ...], reflow: tuple[Dtype, ...]
) -> tuple[Cause, ...]:
    pair = (
        checkpoint(tmp_path / "normal", config, *normal),
        checkpoint(tmp_path / "reflow", config, *reflow),
    )
    return api.diagnose(*pair).causes


@pytest.mark.parametrize("config", [ACT, OTHER])
@pytest.mark.parametrize("reflow", [(BF16,), (F16,), (F32, BF16)])
def test_narrower_weights_are_rounded_and_not_larger(
    config: dict[str, Any], reflow: tuple[Dtype, ...], tmp_path: Path
) -> None:
    (cause,) = causes(tmp_path, config, (F32,), reflow)
    assert (cause.code, cause.effect) == (CauseCode.WEIGHTS_ROUNDED, Effect.ROUNDED)
    bits = 11 if reflow == (F16,) else 8
    assert f"each value has {bits} significant bits instead of 24" in cause.what
    assert "but F32 in NORMAL" in cause.what
    assert not STORIES.search(cause.what)
    assert cause.repair.argv == ()
    assert "does not bring back what was rounded" in str(cause.repair)


def test_wider_weights_are_larger_and_nothing_else(tmp_path: Path) -> None:
    (cause,) = causes(tmp_path, OTHER, (BF16,), (F32,))
    assert (cause.code, cause.effect) == (CauseCode.STORED_DTYPES, Effect.HEAVY)
    assert cause.what == (
        "4 tensors, 540 bytes in F32, but BF16 in NORMAL (weights); the file is larger and loads "
        "more slowly"
    )


def test_wider_and_narrower_weights_are_two_causes(tmp_path: Path) -> None:
    found = causes(tmp_path, OTHER, (F32, BF16), (BF16, F32))
    assert [cause.code for cause in found] == [
        CauseCode.WEIGHTS_ROUNDED,
        CauseCode.STORED_DTYPES,
    ]


@pytest.mark.parametrize("normal", [(BF16,), (F32, BF16)])
def test_the_dtype_in_which_the_library_saves_is_no_cause(
    normal: tuple[Dtype, ...], tmp_path: Path
) -> None:
    assert causes(tmp_path, ACT, normal, (F32,)) == ()


def test_wider_weights_than_the_library_saves_are_larger(tmp_path: Path) -> None:
    (cause,) = causes(tmp_path, ACT, (F32,), (F64,))
    assert cause.code is CauseCode.STORED_DTYPES
    assert "load_vlm_weights" not in cause.what


def test_a_cast_to_normal_is_suggested_where_it_loses_nothing(tmp_path: Path) -> None:
    held = {name: (F32, shape, bytes(4 * prod(shape))) for name, shape in SHAPES.items()}
    reflow = checkpoint(tmp_path / "reflow", OTHER, F32)
    (tmp_path / "reflow/model.safetensors").write_bytes(weights(held))
    normal = checkpoint(tmp_path / "normal", OTHER, BF16)
    (cause,) = api.diagnose(normal, reflow).causes
    assert cause.repair.argv == ("ckpt", "sanitize", reflow, "--reference", normal)
    assert {one.dtype for one in api.sanitize(reflow, reference=normal).after.tensors} == {BF16}


def test_no_cast_that_would_round_is_suggested(tmp_path: Path) -> None:
    (cause,) = causes(tmp_path, OTHER, (BF16,), (F32,))
    assert cause.repair.argv == ()
    assert str(cause.repair) == (
        "nothing, if REFLOW was trained in these dtypes: BF16 would round the values of 4 tensors"
    )


@pytest.mark.parametrize(("normal", "more"), [(BF16, ", and not to NORMAL's dtypes"), (F32, "")])
def test_weights_wider_than_the_library_saves_are_to_be_cast_to_what_it_saves(
    normal: Dtype, more: str, tmp_path: Path
) -> None:
    reflow = checkpoint(tmp_path / "reflow", ACT, F64)
    held = {name: (F64, shape, pack("<d", 0.1) * prod(shape)) for name, shape in SHAPES.items()}
    (tmp_path / "reflow/model.safetensors").write_bytes(weights(held))
    (cause,) = api.diagnose(checkpoint(tmp_path / "normal", ACT, normal), reflow).causes
    assert cause.code is CauseCode.STORED_DTYPES
    assert cause.repair.argv == ()
    assert str(cause.repair) == (
        f"cast these tensors to F32, as stock LeRobot saves and loads them{more}"
    )


def test_sanitize_is_not_suggested_with_a_normal_that_is_as_wide(tmp_path: Path) -> None:
    wide = NORMAL.parent / "f32-vlm"
    api.write(api.plan(str(wide), [Reshard(20_000)]), tmp_path / "sharded")
    found = api.diagnose(str(wide), str(tmp_path / "sharded")).causes
    (cause,) = [one for one in found if one.code is CauseCode.STORED_DTYPES]
    assert cause.repair.argv == ()
    assert str(cause.repair).startswith("NORMAL has the same dtypes: ")


@pytest.mark.parametrize(
    ("dtypes", "said"),
    [
        ((F32,), ""),
        ((BF16,), "rounded to BF16"),
        ((F32, F16), "rounded in part to F16"),
    ],
)
def test_show_and_diff_say_that_weights_were_rounded(
    dtypes: tuple[Dtype, ...], said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    trained, stored = tmp_path / "trained", tmp_path / "stored"
    checkpoint(trained, ACT, F32)
    assert api.show(checkpoint(stored, ACT, *dtypes)).profile == said
    main(["diff", str(trained), str(stored)])
    assert ("B was rounded" in capsys.readouterr().out) == bool(said)
    assert api.show(checkpoint(tmp_path / "other", OTHER, *dtypes)).profile == ""


def smolvla(tmp_path: Path, dtype: Callable[[str, Dtype], Dtype]) -> Cause:
    """Return the cause in a SmolVLA with other dtypes than the normal fixture."""

    def rewrite(folder: Path) -> None:
        held = {
            tensor.name: (tensor.dtype, tensor.shape) for tensor in api.read(str(NORMAL)).tensors
        }
        made = {
            name: (new, shape, payload(name, new, prod(shape)))
            for name, (old, shape) in held.items()
            for new in (dtype(name, old),)
        }
        (folder / "model.safetensors").write_bytes(weights(made))

    found = api.diagnose(str(NORMAL), str(changed(tmp_path / "x", rewrite))).causes
    (cause,) = [one for one in found if one.code is not CauseCode.STORED_DTYPES]
    return cause


def test_a_rounded_expert_of_a_smolvla_is_not_called_larger(tmp_path: Path) -> None:
    cause = smolvla(tmp_path, lambda name, old: BF16 if "action_out" in name else old)
    assert cause.code is CauseCode.WEIGHTS_ROUNDED
    assert not STORIES.search(cause.what)


def test_weights_stored_as_integers_make_the_policy_act_wrongly(tmp_path: Path) -> None:
    cause = smolvla(tmp_path, lambda name, old: I8 if "action_out" in name else old)
    assert (cause.code, cause.effect) == (CauseCode.WEIGHTS_MISREAD, Effect.WRONG)
    assert "the loader reads them as numbers of another meaning" in cause.what
