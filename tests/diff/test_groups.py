"""Stories: what a diff amounts to, in words.

Every pair of fixtures, with kinds, counts and bytes; three examples told in full; diffs made by
hand. Laws, for every pair of fixtures and every made diff:

    whole       every difference between tensors is in exactly one story of its kind: what is
    missing, extra, moved, retyped, reshaped
    bytes       the bytes of all stories add up to the difference of the payloads: nothing is
    counted twice
    names       the names of a story, written out, are the tensors it counts
    steady      the same pair tells the same stories
"""

from __future__ import annotations

import itertools
import re
from collections import Counter
from functools import cache
from math import prod
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from ckpt_tools import api
from ckpt_tools.checkpoint.dtype import Dtype
from ckpt_tools.checkpoint.model import Checkpoint, Document, Tensor, TensorFile
from ckpt_tools.checkpoint.names import fold
from ckpt_tools.diff.compare import compare
from ckpt_tools.diff.groups import group_differences, watched_lines
from ckpt_tools.diff.model import StoryKind
from ckpt_tools.families.family import TEACHER_PREFIXES
from ckpt_tools.families.smolvla.layout import Dimensions, dtype_of, layout
from ckpt_tools.strict_json.pointer import ABSENT

if TYPE_CHECKING:
    from collections.abc import Callable

    from ckpt_tools.diff.model import Comparison, Diff, DifferenceGroup

FIXTURES = Path(__file__).parents[2] / "fixtures"
NAMES = (
    "normal",
    "reflow",
    "reflow-clean",
    "shared-vlm",
    "f32-vlm",
    "sharded",
    "lerobot-0.3",
    "language-model",
)
PAIRS = list(itertools.product(NAMES, repeat=2))
RANDOM = "at random"

COPY, RENAMED, MISSING, EXTRA, DTYPE, SHAPE = StoryKind


@cache
def compared(a: str, b: str) -> Comparison:
    return api.diff(str(FIXTURES / a), str(FIXTURES / b))


def told(a: str, b: str) -> list[tuple[StoryKind, int, int]]:
    """Return (kind, tensors, bytes) of the stories of a pair of fixtures."""
    return [(story.kind, story.tensors, story.nbytes) for story in compared(a, b).stories]


# --- pairs of fixtures ----------------------------------------------------------------------------

PAYLOAD, F32_MORE, EXPERT_AND_PROJECTIONS = 87_718, 4_536, 77_670
"""Bytes of the toy policy; what 199 tensors have more in F32; the 155 tensors that train."""


@pytest.mark.parametrize(
    ("a", "b", "stories"),
    [
        ("normal", "normal", []),
        ("normal", "reflow-clean", []),
        ("normal", "sharded", []),
        ("normal", "reflow", [(COPY, 500, PAYLOAD), (DTYPE, 199, F32_MORE)]),
        ("reflow", "normal", [(COPY, 500, -PAYLOAD), (DTYPE, 199, -F32_MORE)]),
        ("normal", "f32-vlm", [(DTYPE, 199, F32_MORE)]),
        ("f32-vlm", "reflow", [(COPY, 500, PAYLOAD)]),
        ("normal", "shared-vlm", [(RENAMED, 345, 0), (COPY, 155, EXPERT_AND_PROJECTIONS)]),
        ("shared-vlm", "normal", [(RENAMED, 345, 0), (COPY, 155, -EXPERT_AND_PROJECTIONS)]),
        ("normal", "lerobot-0.3", [(EXTRA, 6, 144)]),
        ("lerobot-0.3", "normal", [(MISSING, 6, -144)]),
        ("language-model", "language-model", []),
    ],
)
def test_a_pair_of_fixtures_tells_these_stories(
    a: str, b: str, stories: list[tuple[StoryKind, int, int]]
) -> None:
    assert told(a, b) == stories


@pytest.mark.parametrize(("a", "b"), PAIRS)
def test_the_stories_of_every_pair_of_fixtures_hold_the_laws(a: str, b: str) -> None:
    found = compared(a, b)
    hold_the_laws(found.diff, found.stories)


WATCHED = {
    "normal": (True, ABSENT, ABSENT),
    "reflow": (False, True, "/home/robot/outputs/train/teacher/checkpoints/last/pretrained_model"),
    "shared-vlm": (
        True,
        True,
        "/home/robot/outputs/train/teacher/checkpoints/last/pretrained_model",
    ),
}


@pytest.mark.parametrize(("a", "b"), PAIRS)
def test_the_watched_keys_of_every_pair_of_robots_have_their_lines(a: str, b: str) -> None:
    lines = compared(a, b).watched
    if "language-model" in (a, b):
        assert lines == ()
        return
    left, right = (WATCHED.get(name, WATCHED["normal"]) for name in (a, b))
    assert [(line.key, line.a, line.b) for line in lines] == list(
        zip(("load_vlm_weights", "use_reflow", "teacher_model_path"), left, right, strict=True)
    )
    assert [line.verdict for line in lines] == [
        "same" if one == other else "different" for one, other in zip(left, right, strict=True)
    ]
    normal = WATCHED["normal"]
    assert [(line.fine_a, line.fine_b) for line in lines] == [
        (left[at] == normal[at], right[at] == normal[at]) for at in range(3)
    ]


def test_told_as_asked_first_example() -> None:
    """ "199 tensors F32 instead of BF16 (vision tower, connector, lm_head): +291 MB.

    B was made with load_vlm_weights=false".
    """
    full = Dimensions()
    (story,) = stories_of(policy(full), policy(full, load_vlm_weights=False))
    assert story.text == "199 tensors F32 instead of BF16 (vision tower, connector, lm_head)"
    assert round(story.nbytes / 1e6) == 291
    assert "B was built with load_vlm_weights=false" in story.remark


@pytest.mark.parametrize("prefix", TEACHER_PREFIXES)
def test_told_as_asked_second_example(prefix: str) -> None:
    """ "500 tensors under `teacher.`: a copy of the model"."""
    (story,) = stories_of(policy(), [*policy(), *policy(prefix=prefix)])
    assert story.text == f"500 tensors under `{prefix}` only in B: a copy of the model"
    assert "teacher" in story.remark
    assert story.kind is COPY


@pytest.mark.parametrize("prefix", TEACHER_PREFIXES)
def test_told_as_asked_third_example(prefix: str) -> None:
    """ "345 keys moved from `teacher.…vlm`"."""
    student = [tensor for tensor in policy() if not tensor.name.startswith(VLM)]
    moved, copy = stories_of(policy(), [*student, *policy(prefix=prefix)])
    assert (
        moved.text
        == f"345 tensors moved under `{prefix}` in B (vision tower, connector, text model, lm_head)"
    )
    assert RANDOM in moved.remark
    assert copy.text.startswith(
        f"155 tensors under `{prefix}` only in B: a copy of a part of the model"
    )


# --- the laws -------------------------------------------------------------------------------------


def hold_the_laws(diff: Diff, stories: tuple[DifferenceGroup, ...]) -> None:
    """Assert what every set of stories must keep."""
    counted = Counter[str]()
    for story in stories:
        counted[story.kind] += story.tensors
    moved = sum(len(rename.pairs) for rename in diff.renamed)
    assert counted[MISSING] + counted[EXTRA] + counted[COPY] == len(diff.only_a) + len(diff.only_b)
    assert (counted[RENAMED], counted[DTYPE], counted[SHAPE]) == (
        moved,
        len(diff.retyped),
        len(diff.reshaped),
    )
    assert sum(story.nbytes for story in stories) == payload(diff.b) - payload(diff.a)
    for story in stories:
        assert story.tensors > 0
        assert story.names
        assert "()" not in story.text
        if story.kind in (MISSING, EXTRA, COPY, DTYPE):
            assert sum(len(written_out(name)) for name in story.names) == story.tensors
    assert group_differences(diff) == stories


def payload(checkpoint: Checkpoint) -> int:
    return sum(tensor.nbytes for tensor in checkpoint.tensors)


def written_out(folded: str) -> list[str]:
    """Return the names that a folded name stands for."""
    parts = re.split(r"(\{[^}]*\})", folded)
    return [
        "".join(choice)
        for choice in itertools.product(
            *(_numbers(part) if part.startswith("{") else [part] for part in parts)
        )
    ]


def _numbers(braces: str) -> list[str]:
    inner, _, step = braces[1:-1].partition(" by ")
    runs = [run.partition("..") for run in inner.split(",")]
    return [
        str(number)
        for low, _, high in runs
        for number in range(int(low), int(high or low) + 1, int(step or 1))
    ]


# --- diffs made by hand ---------------------------------------------------------------------------

VLM = "model.vlm_with_expert.vlm."
VISION = f"{VLM}model.vision_model."
TOY = Dimensions(
    text_width=4,
    text_hidden=8,
    query_width=4,
    kv_width=4,
    vocabulary=16,
    vision_width=4,
    vision_hidden=8,
    patch_size=2,
    patches=4,
    connector_width=16,
)


def tensor(name: str, shape: tuple[int, ...] = (2,), dtype: Dtype = Dtype.F32) -> Tensor:
    return Tensor(name, dtype, shape, "model.safetensors", 0, prod(shape) * dtype.bits // 8)


def policy(
    dimensions: Dimensions = TOY, *, load_vlm_weights: bool = True, prefix: str = ""
) -> list[Tensor]:
    return [
        tensor(prefix + name, shape, dtype_of(name, load_vlm_weights=load_vlm_weights))
        for name, shape in layout(dimensions)
    ]


def checkpoint(members: list[Tensor], config: dict[str, object] | None = None) -> Checkpoint:
    file = TensorFile(
        path="model.safetensors", size=0, payload_start=0, tensors=tuple(members), metadata=None
    )
    documents = (
        () if config is None else (Document(path="config.json", text=repr(config), value=config),)
    )
    return Checkpoint(where="x", root="x", weights=(file,), documents=documents)


def stories_of(a: list[Tensor], b: list[Tensor]) -> tuple[DifferenceGroup, ...]:
    """Return the stories of a pair, having checked the laws."""
    diff = compare(checkpoint(a), checkpoint(b))
    stories = group_differences(diff)
    hold_the_laws(diff, stories)
    return stories


def without(members: list[Tensor], drop: Callable[[str], bool]) -> list[Tensor]:
    return [member for member in members if not drop(member.name)]


def test_a_missing_vision_tower_alone_is_named_with_what_becomes_of_it() -> None:
    (story,) = stories_of(policy(), without(policy(), lambda name: name.startswith(VISION)))
    assert (story.kind, story.tensors) == (MISSING, 197)
    assert story.text == "197 tensors missing in B (vision tower)"
    assert RANDOM in story.remark


def test_tensors_that_no_component_knows_are_other() -> None:
    (story,) = stories_of(
        policy(), [*policy(), tensor("model.value_head.weight"), tensor("model.value_head.bias")]
    )
    assert (story.kind, story.text) == (EXTRA, "2 tensors only in B (other)")


def test_tensors_that_the_model_does_not_have_are_not_said_to_be_random_when_they_go() -> None:
    """What stock LeRobot never loads is not missing.

    A head of someone's own, and 0.3's buffers, which moved into the processors' files.
    """
    for name in ("model.value_head.weight", "normalize_inputs.buffer_observation_state.mean"):
        (story,) = stories_of([*policy(), tensor(name)], policy())
        assert RANDOM not in story.remark


def test_a_teacher_of_another_size_is_not_said_to_be_random_when_it_goes() -> None:
    for story in stories_of([*policy(), *policy(Dimensions(), prefix="teacher.")], policy()):
        assert RANDOM not in story.remark


def test_a_teacher_of_another_size_is_the_teachers_story_and_no_copy() -> None:
    (story,) = stories_of(
        policy(),
        [
            *policy(),
            tensor("teacher.model.state_proj.weight", (64, 32)),
            tensor("teacher.model.state_proj.bias", (64,)),
        ],
    )
    assert (story.kind, story.text) == (EXTRA, "2 tensors only in B (teacher)")


def test_a_partial_copy_says_which_part_it_is() -> None:
    copied = [member for member in policy(prefix="teacher.") if ".lm_expert." in member.name]
    (story,) = stories_of(policy(), [*policy(), *copied])
    assert (
        story.text
        == "145 tensors under `teacher.` only in B: a copy of a part of the model (action expert)"
    )


def test_a_whole_copy_beside_the_buffers_of_lerobot_0_3_is_still_a_copy_of_the_model() -> None:
    buffers = [
        tensor(f"normalize_inputs.buffer_observation_state.{kind}") for kind in ("mean", "std")
    ]
    stories = stories_of([*policy(), *buffers], [*policy(), *policy(prefix="teacher.")])
    assert "500 tensors under `teacher.` only in B: a copy of the model" in [
        story.text for story in stories
    ]


def test_an_unknown_prefix_is_a_copy_without_a_teacher() -> None:
    (story,) = stories_of(policy(), [*policy(), *policy(prefix="ema_model.")])
    assert story.text == "500 tensors under `ema_model.` only in B: a copy of the model"
    assert story.remark == ""


def test_two_teachers_are_two_copies() -> None:
    stories = stories_of(
        policy(), [*policy(), *policy(prefix="teacher."), *policy(prefix="_teacher_policy_cached.")]
    )
    assert sorted(story.text for story in stories) == [
        "500 tensors under `_teacher_policy_cached.` only in B: a copy of the model",
        "500 tensors under `teacher.` only in B: a copy of the model",
    ]


def test_a_teacher_that_is_gone_from_b_is_no_warning_about_b() -> None:
    (story,) = stories_of([*policy(), *policy(prefix="teacher.")], policy())
    assert "only in A" in story.text
    assert "stays this large" not in story.remark


def test_reshaped_projections_name_both_shapes_and_that_the_loader_refuses() -> None:
    wider = [
        tensor(member.name, (64, *member.shape[1:]))
        if member.name.startswith("model.action_out")
        else member
        for member in policy()
    ]
    (story,) = stories_of(policy(), wider)
    assert (story.kind, story.tensors) == (SHAPE, 2)
    assert story.text == "2 tensors of another shape (projections)"
    assert "model.action_out_proj.bias [32] -> [64]" in story.names
    assert "rejects" in story.remark


def test_bytes_of_a_tensor_of_another_dtype_and_shape_are_counted_once() -> None:
    stories = stories_of([tensor("a", (2,), Dtype.BF16)], [tensor("a", (3,), Dtype.F32)])
    assert sorted(story.kind for story in stories) == [DTYPE, SHAPE]


def test_bytes_of_a_renamed_tensor_of_another_dtype_are_counted_once() -> None:
    stories = stories_of([tensor("a", (2,), Dtype.BF16)], [tensor("module.a", (2,), Dtype.F32)])
    assert sorted(story.kind for story in stories) == [DTYPE, RENAMED]


def test_a_compiled_policy_is_one_rename_and_nothing_else() -> None:
    (story,) = stories_of(policy(), policy(prefix="_orig_mod."))
    assert story.text.startswith("500 tensors wrapped in `_orig_mod` in B")
    (back,) = stories_of(policy(prefix="_orig_mod."), policy())
    assert back.text.startswith("500 tensors unwrapped from `_orig_mod` in B")


def test_a_rename_lists_every_name_old_and_new() -> None:
    """Names that fold on one side only: none of them may fall out of the list."""
    a = [tensor("a.0.w"), tensor("a.1.w")]
    b = [tensor("module.a.0.w"), tensor("a.module.1.w")]
    (story,) = stories_of(a, b)
    old, new = zip(*(name.split(" -> ") for name in story.names), strict=True)
    assert sorted(name for folded in dict.fromkeys(old) for name in written_out(folded)) == [
        "a.0.w",
        "a.1.w",
    ]
    assert sorted(name for folded in dict.fromkeys(new) for name in written_out(folded)) == [
        "a.module.1.w",
        "module.a.0.w",
    ]


def test_one_tensor_is_one_tensor_and_not_tensors() -> None:
    assert [story.text for story in stories_of([tensor("a")], [tensor("b", (3,))])] == [
        "1 tensor missing in B (weights)",
        "1 tensor only in B (weights)",
    ]
    assert [story.text for story in stories_of([tensor("a")], [tensor("a", (3,))])] == [
        "1 tensor of another shape (weights)"
    ]


def test_dtypes_are_grouped_by_what_became_what_largest_first() -> None:
    a = [
        tensor("a", dtype=Dtype.BF16),
        tensor("b", dtype=Dtype.BF16),
        tensor("c", dtype=Dtype.F32),
        tensor("d", dtype=Dtype.F32),
        tensor("e", dtype=Dtype.F32),
    ]
    b = [
        tensor("a", dtype=Dtype.F32),
        tensor("b", dtype=Dtype.F32),
        tensor("c", dtype=Dtype.F16),
        tensor("d", dtype=Dtype.F16),
        tensor("e", dtype=Dtype.F16),
    ]
    assert [story.text for story in stories_of(a, b)] == [
        "3 tensors F16 instead of F32 (weights)",
        "2 tensors F32 instead of BF16 (weights)",
    ]


def test_empty_checkpoints_tell_nothing() -> None:
    assert stories_of([], []) == ()


def test_a_file_of_nothing_and_a_policy_tell_one_story() -> None:
    assert [story.kind for story in stories_of(policy(), [])] == [MISSING]
    assert [story.kind for story in stories_of([], policy())] == [EXTRA]


def test_another_family_in_b_is_not_told_what_smolvla_would_do() -> None:
    stories = stories_of(policy(), [tensor("lm_head.weight")])
    assert all(RANDOM not in story.remark for story in stories)


def test_names_in_a_story_are_folded() -> None:
    (story,) = stories_of(
        policy(), without(policy(), lambda name: ".vision_model.encoder." in name)
    )
    assert len(story.names) == 16
    assert set(story.names) == set(
        fold(name for name, _ in layout(TOY) if ".vision_model.encoder." in name)
    )


# --- watched lines made by hand -------------------------------------------------------------------


def lines_of(a: dict[str, Any], b: dict[str, Any]) -> dict[str, str]:
    """Return the verdict by key of two SmolVLA configs."""
    smolvla = {"type": "smolvla"}
    return {
        line.key: line.verdict
        for line in watched_lines(checkpoint([], smolvla | a), checkpoint([], smolvla | b))
    }


@pytest.mark.parametrize("key", ["use_reflow", "teacher_model_path"])
def test_absent_false_and_null_are_equivalent_for_the_reflow_fields(key: str) -> None:
    forms: list[dict[str, Any]] = [{}, {key: False}, {key: None}]
    for a, b in itertools.permutations(forms, 2):
        assert lines_of(a, b)[key] == "equivalent"


@pytest.mark.parametrize(
    "other",
    [
        {},
        {"load_vlm_weights": None},
        {"load_vlm_weights": False},
        {"load_vlm_weights": 1},
        {"load_vlm_weights": "true"},
    ],
)
def test_nothing_is_equivalent_to_true_for_load_vlm_weights(other: dict[str, object]) -> None:
    assert lines_of({"load_vlm_weights": True}, other)["load_vlm_weights"] == "different"
    assert lines_of(other, {"load_vlm_weights": True})["load_vlm_weights"] == "different"


@pytest.mark.parametrize("value", [0, 0.0, "", [], {}])
def test_what_python_calls_false_is_not_equivalent_to_false(value: object) -> None:
    assert lines_of({"use_reflow": False}, {"use_reflow": value})["use_reflow"] == "different"


def test_a_checkpoint_without_a_config_has_no_watched_lines() -> None:
    assert watched_lines(checkpoint(policy()), checkpoint(policy(), {"type": "smolvla"})) == ()
