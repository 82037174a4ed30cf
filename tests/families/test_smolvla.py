"""What the tool knows of SmolVLA, against the facts measured on LeRobot 0.6.1.

Counts and bytes at full size, the component of every name, dtype profiles.

The full-size files are sparse: a real header, and a payload that is a hole.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from ckpt_tools import api
from ckpt_tools.checkpoint import header
from ckpt_tools.checkpoint.dtype import Dtype
from ckpt_tools.checkpoint.model import Checkpoint, Document, Tensor, TensorFile
from ckpt_tools.families.family import TEACHER_PREFIXES
from ckpt_tools.families.registry import family_of
from ckpt_tools.families.smolvla import components
from ckpt_tools.families.smolvla import facts as smolvla_facts
from ckpt_tools.families.smolvla.facts import SMOLVLA
from ckpt_tools.families.smolvla.layout import Dimensions, dtype_of, layout
from ckpt_tools.strict_json.pointer import ABSENT

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

LAYOUT = layout(Dimensions())
VLM = "model.vlm_with_expert.vlm."
WRAPPERS = ("_orig_mod", "module", "_fsdp_wrapped_module", "_checkpoint_wrapped_module")

type DtypeOf = Callable[[str], Dtype]


def loaded(name: str) -> Dtype:
    return dtype_of(name, load_vlm_weights=True)


def not_loaded(name: str) -> Dtype:
    return dtype_of(name, load_vlm_weights=False)


def all_f32(_: str) -> Dtype:
    return Dtype.F32


def tensors(dtype: DtypeOf, prefix: str = "") -> list[Tensor]:
    """Return the full-size layout, not laid out yet."""
    return [
        Tensor(prefix + name, dtype(name), shape, "", 0, header.nbytes(dtype(name), shape))
        for name, shape in LAYOUT
    ]


def checkpoint(members: list[Tensor], config: dict[str, object] | None = None) -> Checkpoint:
    file = TensorFile(
        path="model.safetensors", size=0, payload_start=0, tensors=tuple(members), metadata=None
    )
    documents = () if config is None else (Document(path="config.json", text="", value=config),)
    return Checkpoint(where="x", root="x", weights=(file,), documents=documents)


FSDP_METADATA = (("format", "pt"),)
"""LeRobot's own save writes no `__metadata__`; what saves a gathered FSDP state does."""


def file_size(members: list[Tensor], metadata: tuple[tuple[str, str], ...] | None) -> int:
    placed = header.layout(members)
    return len(header.encode(placed, metadata)) + placed[-1].end


# --- counts and bytes at full size ----------------------------------------------------------------


def test_a_full_size_policy_has_500_tensors_of_450_million_parameters() -> None:
    members = tensors(loaded)
    assert len(members) == len({tensor.name for tensor in members}) == 500
    assert sum(tensor.parameters for tensor in members) == 450_046_176


def test_345_tensors_are_the_vlms_by_their_prefix_and_490_by_the_seeds_count() -> None:
    assert sum(name.startswith(VLM) for name, _ in LAYOUT) == 345
    assert sum("vlm" in name for name, _ in LAYOUT) == 490
    assert sum(components.component(name) in components.VLM for name, _ in LAYOUT) == 345


@pytest.mark.parametrize(
    ("part", "count"),
    [
        ("vision", 197),
        ("connector", 1),
        ("text", 146),
        ("lm_head", 1),
        ("expert", 145),
        ("projections", 10),
    ],
)
def test_each_component_has_its_tensors(part: str, count: int) -> None:
    assert sum(components.component(name) == part for name, _ in LAYOUT) == count


def test_the_expert_and_the_projections_train_and_nothing_else() -> None:
    trained = [
        tensor
        for tensor in tensors(loaded)
        if smolvla_facts.trains(components.component(tensor.name), {})
    ]
    assert sum(tensor.parameters for tensor in trained) == 99_880_992
    assert {components.component(tensor.name) for tensor in trained} == {"expert", "projections"}


@pytest.mark.parametrize(
    ("dtype", "metadata", "size"),
    [
        (loaded, None, 906_712_520),
        (not_loaded, None, 1_197_789_224),
        (all_f32, FSDP_METADATA, 1_800_258_024),
    ],
    ids=["loaded", "not loaded", "FSDP"],
)
def test_file_sizes_are_those_that_lerobot_writes(
    dtype: DtypeOf, metadata: tuple[tuple[str, str], ...] | None, size: int
) -> None:
    assert file_size(tensors(dtype), metadata) == size


def test_the_two_profiles_differ_in_199_tensors_of_291_megabytes() -> None:
    differing = [
        (ours, theirs)
        for ours, theirs in zip(tensors(loaded), tensors(not_loaded), strict=True)
        if ours.dtype is not theirs.dtype
    ]
    assert len(differing) == 199
    assert {components.component(tensor.name) for tensor, _ in differing} == {
        "vision",
        "connector",
        "lm_head",
    }
    assert round(sum(theirs.nbytes - ours.nbytes for ours, theirs in differing) / 1e6) == 291


def test_129_tensors_of_the_expert_are_bf16_and_its_cross_attention_is_f32() -> None:
    expert = [
        tensor
        for tensor in tensors(loaded)
        if components.component(tensor.name) == components.EXPERT
    ]
    wide = [tensor.name for tensor in expert if tensor.dtype is Dtype.F32]
    assert len(expert) - len(wide) == 129
    assert sorted(wide) == sorted(
        f"model.vlm_with_expert.lm_expert.layers.{layer}.self_attn.{part}_proj.weight"
        for layer in range(1, 16, 2)
        for part in "kv"
    )


@pytest.mark.parametrize(
    ("dtype", "metadata", "size", "profile"),
    [
        (loaded, None, 906_712_520, "built with load_vlm_weights=true"),
        (not_loaded, None, 1_197_789_224, "built with load_vlm_weights=false"),
        (all_f32, FSDP_METADATA, 1_800_258_024, "saved in F32 throughout, as FSDP does"),
    ],
    ids=["loaded", "not loaded", "FSDP"],
)
def test_show_reports_the_same_numbers_for_a_full_size_file(
    tmp_path: Path,
    dtype: DtypeOf,
    metadata: tuple[tuple[str, str], ...] | None,
    size: int,
    profile: str,
) -> None:
    placed = header.layout(tensors(dtype))
    path = tmp_path / "model.safetensors"
    with path.open("wb") as file:
        file.write(header.encode(placed, metadata))
        file.truncate(size)
    (tmp_path / "config.json").write_text('{"type": "smolvla"}', encoding="utf-8")
    summary = api.show(str(tmp_path))
    assert (summary.family, summary.profile) == ("smolvla", profile)
    assert (summary.tensors, summary.parameters, summary.trainable) == (
        500,
        450_046_176,
        99_880_992,
    )
    assert summary.checkpoint.size == size
    assert [(group.title, group.tensors) for group in summary.sums] == [("VLM in total", 345)]
    assert (
        sum(group.nbytes for group in summary.components)
        == sum(group.nbytes for group in summary.dtypes)
        == placed[-1].end
    )


# --- components -----------------------------------------------------------------------------------


@pytest.mark.parametrize("prefix", TEACHER_PREFIXES)
def test_everything_under_a_teacher_prefix_is_the_teachers(prefix: str) -> None:
    assert {components.component(prefix + name) for name, _ in LAYOUT} == {components.TEACHER}


@pytest.mark.parametrize("wrapper", WRAPPERS)
@pytest.mark.parametrize("place", [0, 1, 2, 3, 4, 5])
def test_a_wrapper_anywhere_changes_no_component(wrapper: str, place: int) -> None:
    for name, _ in LAYOUT:
        parts = name.split(".")
        assert components.component(
            ".".join([*parts[:place], wrapper, *parts[place:]])
        ) == components.component(name)


@pytest.mark.parametrize("wrapper", WRAPPERS)
@pytest.mark.parametrize("prefix", TEACHER_PREFIXES)
def test_a_wrapped_teacher_is_a_teacher(wrapper: str, prefix: str) -> None:
    parts = [*prefix.split(".")[:-1], "model", "state_proj", "weight"]
    for place in range(len(parts)):
        assert (
            components.component(".".join([*parts[:place], wrapper, *parts[place:]]))
            == components.TEACHER
        )


@pytest.mark.parametrize(
    ("name", "part"),
    [
        ("normalize_inputs.buffer_observation_state.mean", "normalisation"),
        ("normalize_targets.buffer_action.std", "normalisation"),
        ("unnormalize_outputs.buffer_action.mean", "normalisation"),
        ("model.state_proj.weight", "projections"),
        ("model.action_time_mlp_out.bias", "projections"),
        ("model.vlm_with_expert.vlm.lm_head.weight", "lm_head"),
        ("model.vlm_with_expert.lm_expert.lm_head.weight", "expert"),
        ("model.vlm_with_expert.vlm.model.text_model.embed_tokens.weight", "text"),
        ("state_proj.weight", "other"),
        ("model.teachers.weight", "other"),
        ("teachers.weight", "other"),
        ("model.ema.state_proj.weight", "other"),
        ("", "other"),
        ("teacher", "other"),
        ("model.vlm_with_expert", "other"),
    ],
)
def test_a_name_belongs_to_its_component(name: str, part: str) -> None:
    assert components.component(name) == part


def test_every_component_has_a_title() -> None:
    keys = [component.key for component in SMOLVLA.components]
    assert len(set(keys)) == len(keys)
    assert {components.component(name) for name, _ in LAYOUT} <= set(keys)
    assert all(component.title and component.short for component in SMOLVLA.components)


# --- profiles -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("dtype", "profile"),
    [
        (loaded, "built with load_vlm_weights=true"),
        (not_loaded, "built with load_vlm_weights=false"),
        (all_f32, "saved in F32 throughout, as FSDP does"),
        (lambda _: Dtype.BF16, "built with load_vlm_weights=true"),
        (lambda _: Dtype.F16, ""),
        (lambda name: Dtype.F16 if "vision_model" in name else loaded(name), ""),
        (lambda name: Dtype.F32 if name.endswith("lm_head.weight") else loaded(name), ""),
        (lambda name: Dtype.F32 if "text_model" in name else loaded(name), ""),
    ],
    ids=[
        "loaded",
        "not loaded",
        "FSDP",
        "all BF16",
        "all F16",
        "vision F16",
        "only lm_head F32",
        "text F32",
    ],
)
def test_a_profile_is_named_where_something_is_known_to_write_it(
    dtype: DtypeOf, profile: str
) -> None:
    assert smolvla_facts.profile(checkpoint(tensors(dtype))) == profile


@pytest.mark.parametrize("prefix", TEACHER_PREFIXES)
def test_a_teacher_in_the_file_does_not_hide_the_students_profile(prefix: str) -> None:
    student, teacher = tensors(not_loaded), tensors(loaded, prefix)
    assert (
        smolvla_facts.profile(checkpoint([*student, *teacher]))
        == "built with load_vlm_weights=false"
    )


def test_a_student_without_its_vlm_has_no_profile() -> None:
    rest = [tensor for tensor in tensors(loaded) if not tensor.name.startswith(VLM)]
    assert smolvla_facts.profile(checkpoint([*rest, *tensors(loaded, "teacher.")])) == ""
    assert smolvla_facts.profile(checkpoint([])) == ""


def test_wrapped_tensors_have_the_same_profile() -> None:
    assert (
        smolvla_facts.profile(checkpoint(tensors(not_loaded, "_orig_mod.")))
        == "built with load_vlm_weights=false"
    )


@pytest.mark.parametrize(
    "dtype", [loaded, not_loaded, all_f32], ids=["loaded", "not loaded", "FSDP"]
)
def test_the_buffers_of_lerobot_0_3_do_not_hide_the_profile(dtype: DtypeOf) -> None:
    buffers = [
        Tensor(f"unnormalize_outputs.buffer_action.{kind}", Dtype.F32, (6,), "", 0, 24)
        for kind in ("mean", "std")
    ]
    assert (
        smolvla_facts.profile(checkpoint([*tensors(dtype), *buffers]))
        == smolvla_facts.profile(checkpoint(tensors(dtype)))
        != ""
    )


# --- recognition and judgement --------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["smolvla", "smolvla_reflow"])
def test_a_config_of_the_type_is_enough_to_recognise_the_family(kind: str) -> None:
    assert family_of(checkpoint([], {"type": kind})) is SMOLVLA


@pytest.mark.parametrize("prefix", ["", "teacher.", "_orig_mod.", "model._teacher_model."])
def test_names_are_enough_to_recognise_the_family(prefix: str) -> None:
    assert family_of(checkpoint(tensors(loaded, prefix))) is SMOLVLA


@pytest.mark.parametrize(
    "config",
    [None, {}, {"type": "pi0"}, {"type": None}, {"type": ["smolvla"]}, {"type": {"smolvla": 1}}],
)
def test_another_type_is_not_the_family(config: dict[str, object] | None) -> None:
    assert (
        family_of(checkpoint([Tensor("vlm_with_expert", Dtype.F32, (1,), "", 0, 4)], config)).name
        == "generic"
    )


def test_the_three_keys_of_the_seed_are_watched() -> None:
    assert [watched.key for watched in SMOLVLA.watched] == [
        "load_vlm_weights",
        "use_reflow",
        "teacher_model_path",
    ]


@pytest.mark.parametrize(
    ("key", "value", "fine", "words"),
    [
        ("load_vlm_weights", True, True, "base VLM"),
        ("load_vlm_weights", False, False, "VLM in F32"),
        ("load_vlm_weights", ABSENT, False, "the default"),
        ("load_vlm_weights", None, False, "VLM in F32"),
        ("load_vlm_weights", "yes", False, "a boolean is expected"),
        ("load_vlm_weights", 1, False, "a boolean is expected"),
        ("load_vlm_weights", [], False, "a boolean is expected"),
        ("use_reflow", ABSENT, True, "no such field"),
        ("use_reflow", False, False, "rejects"),
        ("use_reflow", None, False, "rejects"),
        ("use_reflow", True, False, "rejects"),
        ("teacher_model_path", ABSENT, True, "no such field"),
        ("teacher_model_path", None, False, "rejects"),
        ("teacher_model_path", "/x", False, "rejects"),
        ("teacher_model_path", {"a": 1}, False, "rejects"),
    ],
)
def test_a_critical_value_is_evaluated_as_stock_lerobot_treats_it(
    key: str, value: object, *, fine: bool, words: str
) -> None:
    watched = next(watched for watched in SMOLVLA.watched if watched.key == key)
    evaluated, remark = watched.evaluate(value)
    assert evaluated is fine
    assert words in remark


@pytest.mark.parametrize(
    ("config", "vision", "text"),
    [
        ({}, False, False),
        ({"train_expert_only": False}, False, None),
        ({"train_expert_only": False, "freeze_vision_encoder": False}, True, None),
        ({"train_expert_only": True, "freeze_vision_encoder": False}, False, False),
    ],
)
def test_what_trains_follows_from_the_config(
    config: dict[str, object], *, vision: bool, text: bool | None
) -> None:
    assert smolvla_facts.trains(components.VISION, config) is vision
    assert smolvla_facts.trains(components.TEXT, config) is text
    assert smolvla_facts.trains(components.EXPERT, config) is True
    assert smolvla_facts.trains(components.TEACHER, config) is False
    assert smolvla_facts.trains(components.OTHER, config) is None
