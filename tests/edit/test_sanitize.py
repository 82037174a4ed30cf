"""Sanitizing a dirty checkpoint gives the normal one back, byte for byte, whatever made it dirty.

What cannot be repaired is said.
"""

from __future__ import annotations

import json
import shutil
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ckpt_tools import api
from ckpt_tools.errors import RecipeInvalid
from ckpt_tools.families.family import TEACHER_PREFIXES
from ckpt_tools.families.smolvla.components import VLM, component
from tests.support import dirt
from tests.support.dirt import NEEDS_REFERENCE, NORMAL, WAYS, Held

if TYPE_CHECKING:
    from pathlib import Path


def files(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def dirty(folder: Path, *ways: str) -> Path:
    held = Held()
    for way in ways:
        WAYS[way](held)
    return held.write(folder)


def clean(folder: Path, out: Path, **options: object) -> Path:
    """Sanitize `folder` into `out`; check that it is as planned and that nothing is left to do."""
    plan = api.sanitize(str(folder), **options)  # type: ignore[arg-type]  # options by name
    assert plan.remains == ()
    api.write(plan, str(out))
    again = api.sanitize(str(out), **options)  # type: ignore[arg-type]  # as above
    assert (again.steps, again.remains) == ((), ())
    return out


@pytest.mark.parametrize("way", WAYS)
def test_sanitizing_what_was_made_dirty_gives_the_normal_checkpoint_byte_for_byte(
    way: str, tmp_path: Path
) -> None:
    reference = str(NORMAL) if way in NEEDS_REFERENCE else None
    assert files(
        clean(dirty(tmp_path / "dirty", way), tmp_path / "clean", reference=reference)
    ) == files(NORMAL)


@settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    ways=st.lists(
        st.sampled_from([way for way in WAYS if not way.startswith("VLM only")]),
        unique=True,
        max_size=6,
    ),
    shared=st.sampled_from(["", *TEACHER_PREFIXES]),
)
def test_any_mixture_of_dirt_comes_off(ways: list[str], shared: str, tmp_path: Path) -> None:
    # A shared VLM comes first: it is how training made the weights; the rest happens to them
    # afterwards.
    folder = tmp_path / "mixture"
    shutil.rmtree(folder, ignore_errors=True)
    chosen = [f"VLM only under {shared}"] * bool(shared) + [
        way for way in ways if not (shared and way == f"teacher under {shared}")
    ]
    assert files(
        clean(dirty(folder / "dirty", *chosen), folder / "clean", reference=str(NORMAL))
    ) == files(NORMAL)


@pytest.mark.parametrize(
    "way",
    [
        "teacher under teacher.",
        "VLM only under model._teacher_model.",
        "a fork's config",
        "module.",
        "three shards",
    ],
)
def test_what_was_dirty_does_not_verify_and_what_was_sanitized_does(
    way: str, tmp_path: Path
) -> None:
    folder = dirty(tmp_path / "dirty", way)
    assert not api.verify(str(folder), values=True).clean
    assert api.verify(
        str(clean(folder, tmp_path / "clean", reference=str(NORMAL))), values=True
    ).clean


def test_a_clean_checkpoint_is_left_alone() -> None:
    for name in ("normal", "reflow-clean"):
        plan = api.sanitize(str(NORMAL.parent / name))
        assert (plan.steps, plan.remains) == ((), ())


def test_without_a_reference_dtypes_stay(tmp_path: Path) -> None:
    plan = api.sanitize(str(dirty(tmp_path / "dirty", "F32 VLM")))
    assert plan.steps == ()


def test_a_lossy_cast_is_omitted_and_reported_unless_requested(
    tmp_path: Path,
) -> None:
    held = Held()
    name = "model.vlm_with_expert.vlm.lm_head.weight"
    held.tensors[name] = dirt.make.blob(
        "finer than BF16", dirt.make.Dtype.F32, held.tensors[name].shape
    )
    folder = str(held.write(tmp_path / "dirty"))
    plan = api.sanitize(folder, reference=str(NORMAL))
    assert plan.steps == ()
    assert plan.remains == (
        (
            "still F32 instead of BF16, because a cast would lose bits (--allow-lossy rounds, but"
            f" makes nothing infinite): 1 tensor, {name}"
        ),
    )
    rounded = api.sanitize(folder, reference=str(NORMAL), allow_lossy=True)
    assert [step.safety for step in rounded.steps] == ["unsafe"]
    assert rounded.remains == ()


def test_unknown_tensors_are_kept_and_reported(tmp_path: Path) -> None:
    held = Held()
    held.tensors["model.extra_head.weight"] = dirt.make.blob("extra", dirt.make.Dtype.F32, (4, 4))
    held.tensors["ema.weight"] = dirt.make.blob("ema", dirt.make.Dtype.F32, (2,))
    folder = held.write(tmp_path / "strange")
    for reference, who in ((None, "unknown to smolvla"), (str(NORMAL), "not in the reference")):
        plan = api.sanitize(str(folder), reference=reference)
        assert plan.steps == ()
        assert plan.remains == (f"kept, although {who}: 2 tensors, such as ema.weight",)


def test_a_missing_component_is_reported_and_not_invented(tmp_path: Path) -> None:
    held = Held()
    held.tensors = {
        name: tensor for name, tensor in held.tensors.items() if ".vision_model." not in name
    }
    folder = held.write(tmp_path / "blind")
    assert (
        api.sanitize(str(folder))
        .remains[0]
        .startswith(
            "missing, and cannot be restored: 197 tensors, such as"
            " model.vlm_with_expert.vlm.model.vision_model."
        )
    )
    assert (
        "missing, unlike in the reference, and cannot be restored: 197 tensors, such as"
        in api.sanitize(str(folder), reference=str(NORMAL)).remains[0]
    )


def test_the_teachers_expert_is_never_taken_for_the_students(tmp_path: Path) -> None:
    held = Held()
    WAYS["teacher under teacher."](held)
    held.tensors = {
        name: tensor
        for name, tensor in held.tensors.items()
        if not name.startswith("model.vlm_with_expert.lm_expert.")
    }
    plan = api.sanitize(str(held.write(tmp_path / "headless")))
    assert not any(
        name.startswith("model.vlm_with_expert.lm_expert.")
        for name in (tensor.name for tensor in plan.after.tensors)
    )
    assert any(
        sentence.startswith("missing, and cannot be restored: 145 tensors")
        for sentence in plan.remains
    )
    assert any(
        "kept under a teacher's prefix, because the student has no counterpart: 145 tensors"
        in sentence
        for sentence in plan.remains
    )


def test_a_larger_teachers_own_layers_are_not_restored_into_the_student(tmp_path: Path) -> None:
    held = Held()
    WAYS["teacher under teacher."](held)
    extra = {
        name.replace(".layers.15.", ".layers.16."): tensor
        for name, tensor in held.tensors.items()
        if name.startswith("teacher.") and ".layers.15." in name
    }
    assert extra
    held.tensors |= extra
    out = clean(held.write(tmp_path / "large"), tmp_path / "clean")
    assert files(out) == files(NORMAL)


def test_a_part_that_is_only_partly_there_is_never_dropped_with_the_teacher(tmp_path: Path) -> None:
    held = Held()
    WAYS["teacher under teacher."](held)
    lost = [
        name
        for name in held.tensors
        if name.startswith("model.vlm_with_expert.vlm.model.vision_model.")
    ][1:]
    held.tensors = {name: tensor for name, tensor in held.tensors.items() if name not in lost}
    plan = api.sanitize(str(held.write(tmp_path / "partial")))
    assert {f"teacher.{name}" for name in lost} <= {tensor.name for tensor in plan.after.tensors}
    assert any(f"no counterpart: {len(lost)} tensors" in sentence for sentence in plan.remains)
    assert any(f"cannot be restored: {len(lost)} tensors" in sentence for sentence in plan.remains)


def test_aliases_tell_what_was_shared_even_in_part_and_under_a_wrapper(tmp_path: Path) -> None:
    held = Held()
    vlm = [name for name in held.tensors if component(name) in VLM][5:]
    prefix = "module.model._teacher_model."
    held.tensors = {
        (prefix + name if name in vlm else f"module.{name}"): tensor
        for name, tensor in held.tensors.items()
    }
    held.metadata = {f"module.{name}": prefix + name for name in vlm}
    assert files(clean(held.write(tmp_path / "dirty"), tmp_path / "clean")) == files(NORMAL)


def test_a_vlm_under_the_teachers_own_teacher_is_brought_back(tmp_path: Path) -> None:
    held = Held()
    held.tensors = {
        (f"teacher.model._teacher_model.{name}" if component(name) in VLM else name): tensor
        for name, tensor in held.tensors.items()
    }
    assert files(clean(held.write(tmp_path / "dirty"), tmp_path / "clean")) == files(NORMAL)


def test_the_config_of_another_policy_is_left_unchanged_and_reported(tmp_path: Path) -> None:
    folder = dirty(tmp_path / "dirty", "a fork's config")
    training = json.loads((folder / "train_config.json").read_text())
    training["policy"] = {"type": "act", "loss": "l1"}
    (folder / "train_config.json").write_text(json.dumps(training))
    plan = api.sanitize(str(folder))
    assert not any("train_config" in step.text for step in plan.steps)
    assert plan.remains == (
        'train_config.json (policy) has the type "act", not smolvla, and is left unchanged',
    )


def test_a_number_is_no_boolean(tmp_path: Path) -> None:
    held = Held()
    held.config = {"load_vlm_weights": 1}
    assert files(clean(held.write(tmp_path / "dirty"), tmp_path / "clean")) == files(NORMAL)


def test_names_are_never_taken_for_globs(tmp_path: Path) -> None:
    folder = tmp_path / "odd"
    folder.mkdir()
    blob = dirt.make.blob("w", dirt.make.Dtype.F32, (2, 2))
    names = ("a*b", "teacher.a*b", "teacher.axxb", "[x]?", "teacher.[x]?", "module", "x.module")
    dirt.make.write_safetensors(folder / "model.safetensors", dict.fromkeys(names, blob))
    plan = api.sanitize(str(folder))
    assert {tensor.name for tensor in plan.after.tensors} == {
        "a*b",
        "teacher.axxb",
        "[x]?",
        "module",
        "x.module",
    }


def test_other_weights_are_reported(tmp_path: Path) -> None:
    shutil.copytree(NORMAL, tmp_path / "mixed")
    (tmp_path / "mixed/old-00001-of-00002.safetensors").write_bytes(
        (NORMAL / "model.safetensors").read_bytes()
    )
    assert api.sanitize(str(tmp_path / "mixed")).remains == (
        "other weights beside model.safetensors, copied unchanged: old-00001-of-00002.safetensors",
    )


def test_an_unknown_field_is_reported(tmp_path: Path) -> None:
    held = Held()
    held.config = {"flux_capacitor": 1.21}
    assert api.sanitize(str(held.write(tmp_path / "odd"))).remains == (
        (
            "config.json has fields that stock LeRobot rejects: flux_capacitor; if the model does"
            " not need them, remove them: ckpt config WHERE unset /flux_capacitor"
        ),
        (
            "train_config.json (policy) has fields that stock LeRobot rejects: flux_capacitor; if"
            " the model does not need them, remove them: ckpt config WHERE unset"
            " /policy/flux_capacitor --file train_config.json"
        ),
    )


@pytest.mark.parametrize("target", ["lerobot==0.4", "lerobot==0.5"])
def test_an_older_target_loses_what_it_does_not_know(target: str, tmp_path: Path) -> None:
    out = clean(dirty(tmp_path / "dirty", "a fork's config"), tmp_path / "clean", target=target)
    normal = json.loads((NORMAL / "config.json").read_text())
    assert normal.pop("pretrained_revision") is None
    assert json.loads((out / "config.json").read_text()) == normal


def test_a_newer_field_whose_value_matters_is_reported(tmp_path: Path) -> None:
    held = Held()
    held.config = {"pretrained_revision": "v2"}
    plan = api.sanitize(str(held.write(tmp_path / "new")), target="lerobot==0.4")
    assert plan.remains[0] == (
        "config.json sets pretrained_revision, which lerobot==0.4 does not support, to a"
        " value that matters"
    )


def test_the_fork_gets_neutral_values(tmp_path: Path) -> None:
    out = clean(
        dirty(tmp_path / "dirty", "a fork's config", "teacher under teacher."),
        tmp_path / "clean",
        target="fork",
    )
    config = json.loads((out / "config.json").read_text())
    assert (config["use_reflow"], config["teacher_model_path"], config["load_vlm_weights"]) == (
        False,
        None,
        True,
    )
    assert (out / "model.safetensors").read_bytes() == (NORMAL / "model.safetensors").read_bytes()


def test_an_unknown_target_is_refused() -> None:
    with pytest.raises(
        RecipeInvalid,
        match=r"unknown target 'pytorch'; use one of lerobot, fork, lerobot==0\.4, lerobot==0\.5",
    ):
        api.sanitize(str(NORMAL), target="pytorch")


def test_a_model_that_is_no_robot_keeps_a_teacher_without_counterpart(tmp_path: Path) -> None:
    folder = tmp_path / "dino"
    folder.mkdir()
    blob = dirt.make.blob("w", dirt.make.Dtype.F32, (2, 2))
    names = (
        "teacher.backbone.weight",
        "student.backbone.weight",
        "head.weight",
        "teacher.head.weight",
        "module.neck.weight",
    )
    dirt.make.write_safetensors(folder / "model.safetensors", dict.fromkeys(names, blob))
    plan = api.sanitize(str(folder))
    assert {tensor.name for tensor in plan.after.tensors} == {
        "teacher.backbone.weight",
        "student.backbone.weight",
        "head.weight",
        "module.neck.weight",
    }
    assert plan.remains[0] == (
        "kept under a teacher's prefix, because the student has no counterpart: 1 tensor,"
        " teacher.backbone.weight; `ckpt strip WHERE` removes them"
    )


def test_record_adds_the_operations_to_the_metadata(tmp_path: Path) -> None:
    plan = api.sanitize(str(dirty(tmp_path / "dirty", "module.")), record=True)
    ((key, value),) = plan.after.weights[0].metadata or ()
    assert key == "ckpt_tools"
    assert json.loads(value)["operations"] == [{"unwrap": True}]
