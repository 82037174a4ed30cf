"""Copies of a model and optimizer state among its weights, and copies that belong to a model."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from ckpt_tools import api
from ckpt_tools.checkpoint.dtype import Dtype
from ckpt_tools.edit.operations import Drop
from tests.support.cases import codes
from tests.support.models import model

if TYPE_CHECKING:
    from pathlib import Path

    from ckpt_tools.rules.finding import Finding
    from tests.support.models import Shapes

PLAIN: dict[str, tuple[int, ...]] = {
    "model.embed.weight": (9, 4),
    **{f"model.layers.{at}.mlp.weight": (4, 4) for at in range(12)},
    "model.norm.weight": (4,),
}


CONFIG: dict[str, object] = {"config.json": {"model_type": "new"}}


def under(prefix: str, shapes: dict[str, tuple[int, ...]]) -> dict[str, tuple[int, ...]]:
    return {prefix + name: shape for name, shape in shapes.items()}


def found(folder: Path, shapes: Shapes) -> list[Finding]:
    return list(api.verify(str(model(folder, shapes, {"config.json": {"type": "tdmpc"}}))).findings)


def stripped(folder: Path, finding: Finding) -> set[str]:
    assert finding.remedy.argv[:3] == ("ckpt", "strip", str(folder))
    plan = api.plan(str(folder), [Drop(finding.remedy.argv[3:])])
    return {tensor.name for tensor in plan.after.tensors}


@pytest.mark.parametrize(
    ("prefix", "copied"),
    [
        ("ema.", PLAIN),
        ("ema_model.", PLAIN),
        ("module.model_ema.", under("module.", PLAIN)),
        ("shadow.", {name.removeprefix("model."): shape for name, shape in PLAIN.items()}),
        ("averaged_model.", PLAIN),
    ],
)
def test_an_average_of_the_model_is_a_warning_and_strip_removes_just_that(
    prefix: str, copied: dict[str, tuple[int, ...]], tmp_path: Path
) -> None:
    wrapper = "module." if prefix.startswith("module.") else ""
    plain = under(wrapper, PLAIN)
    copy = {prefix + name.removeprefix(wrapper): shape for name, shape in copied.items()}
    counter = {f"{prefix}num_updates": (Dtype.I64, ())}
    folder = tmp_path / "bad"
    shapes: Shapes = {**plain, **copy, **counter}
    (finding,) = (one for one in found(folder, shapes) if one.code == "CK320")
    assert finding.severity == "warning"
    assert f"under `{prefix}`: a second copy" in finding.what
    assert stripped(folder, finding) == set(plain)


def test_an_average_whose_names_have_lost_their_dots_is_one_too(tmp_path: Path) -> None:
    inner = {name.removeprefix("model."): shape for name, shape in PLAIN.items()}
    copy = {f"model_ema.{name.replace('.', '')}": shape for name, shape in inner.items()}
    buffers = {"first_stage.conv.weight": (3, 3), "model.steps": (7,)}
    folder = tmp_path / "sd"
    (finding,) = found(folder, PLAIN | copy | buffers)
    assert finding.code == "CK320"
    assert stripped(folder, finding) == set(PLAIN | buffers)


def test_nothing_is_stripped_that_has_no_counterpart(tmp_path: Path) -> None:
    copy = under("ema.", PLAIN) | {"ema.extra.weight": (2, 2)}
    (finding,) = found(tmp_path / "bad", PLAIN | copy)
    assert (finding.code, finding.remedy.argv) == ("CK320", ())
    assert finding.next == "decide which of the two to publish, and strip the other"


@pytest.mark.parametrize(
    "shapes",
    [
        under("ema.", PLAIN),
        PLAIN | {"quantizer.ema.weight": (8, 4), "quantizer.ema.sizes": (8,)},
        PLAIN | {f"ema.{name}": (*shape, 2) for name, shape in PLAIN.items()},
        PLAIN | under("model_target.", {name[6:]: shape for name, shape in PLAIN.items()}),
        under("encoder_q.", PLAIN) | under("encoder_k.", PLAIN),
    ],
    ids=["only the average", "a codebook's average", "other shapes", "tdmpc", "siamese"],
)
def test_what_belongs_to_a_model_is_no_copy(
    shapes: dict[str, tuple[int, ...]], tmp_path: Path
) -> None:
    assert codes(model(tmp_path / "near", shapes, CONFIG)) == set()


def test_no_strip_of_teachers_touches_a_target_network(tmp_path: Path) -> None:
    target = under("model_target.", {name[6:]: shape for name, shape in PLAIN.items()})
    folder = model(tmp_path / "tdmpc", PLAIN | target, {"config.json": {"type": "tdmpc"}})
    assert {one.name for one in api.sanitize(str(folder)).after.tensors} == set(PLAIN | target)


def test_a_copy_under_another_prefix_is_a_note_without_a_command(tmp_path: Path) -> None:
    (finding,) = found(tmp_path / "dpo", PLAIN | under("reference.", PLAIN))
    assert (finding.code, finding.severity, finding.remedy.argv) == ("CK320", "note", ())


def test_a_teacher_is_not_reported_twice(tmp_path: Path) -> None:
    assert codes(model(tmp_path / "t", PLAIN | under("teacher.", PLAIN), CONFIG)) == {"CK301"}


def test_optimizer_moments_are_a_warning_and_strip_removes_them(tmp_path: Path) -> None:
    state: dict[str, tuple[int, ...]] = {
        f"optimizer.state.{at}.{kind}": () if kind == "step" else (4, 4)
        for at in (0, 1)
        for kind in ("exp_avg", "exp_avg_sq", "step")
    }
    folder = tmp_path / "bad"
    (finding,) = found(folder, PLAIN | state)
    assert (finding.code, finding.severity) == ("CK321", "warning")
    assert "(exp_avg, exp_avg_sq)" in finding.what
    assert stripped(folder, finding) == set(PLAIN)


def test_a_step_of_the_model_is_kept(tmp_path: Path) -> None:
    shapes = PLAIN | {"layers.0.momentum_buffer": (4, 4), "scheduler.step": ()}
    (finding,) = found(tmp_path / "bad", shapes)
    assert stripped(tmp_path / "bad", finding) == {*PLAIN, "scheduler.step"}


def test_a_file_of_optimizer_state_is_what_it_is(tmp_path: Path) -> None:
    shapes = {"state.0.exp_avg": (4, 4), "state.0.exp_avg_sq": (4, 4), "state.0.step": ()}
    assert codes(model(tmp_path / "state", shapes, CONFIG)) == set()
    assert codes(model(tmp_path / "named", PLAIN | {"exp_avg.weight": (4, 4)}, CONFIG)) == set()
