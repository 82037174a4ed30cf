"""Folding what changed.

Which layer a tensor is in, how alike two are, and rows in the model's order.
"""

from __future__ import annotations

from math import inf

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ckpt_tools.checkpoint.dtype import Dtype
from ckpt_tools.checkpoint.model import Tensor
from ckpt_tools.diff.value_changes import layers_of, sameness, value_comparison
from ckpt_tools.families.family import GENERIC
from ckpt_tools.families.smolvla.facts import SMOLVLA
from ckpt_tools.values.model import PairFacts, Sameness, rel_l2_together

EXPERT = "model.vlm_with_expert.lm_expert."
VISION = "model.vlm_with_expert.vlm.model.vision_model."


def tensor(name: str, dtype: Dtype = Dtype.F32) -> Tensor:
    return Tensor(name, dtype, (4,), "model.safetensors", 0, 4 * dtype.bits // 8)


def moved(rel: float, *, changed: int = 1, broken: int = 0, max_abs: float = 0.5) -> PairFacts:
    return PairFacts(
        4,
        same_bytes=False,
        changed=changed,
        broken=broken,
        max_abs=max_abs,
        l2_a=1.0,
        l2_b=1.0,
        l2_change=rel,
    )


SAME = PairFacts(4, same_bytes=True)


@pytest.mark.parametrize(
    ("name", "layer"),
    [
        (f"{EXPERT}layers.7.mlp.up_proj.weight", "7"),
        ("transformer.h.11.attn.c_attn.weight", "11"),
        ("blocks.3.experts.5.w1", "3"),
        ("teacher.model.layers.0.weight", "0"),
        ("layers.007.weight", "other"),
        ("lm_head.weight", "other"),
        ("", "other"),
    ],
)
def test_the_layer_is_the_first_number_among_the_segments(name: str, layer: str) -> None:
    assert layers_of([name]) == [layer]


def test_layers_of_several_lists_are_told_apart() -> None:
    names = [
        "net.stage1.0.conv",
        "net.stage1.1.conv",
        "net.stage2.0.conv",
        "net.stem",
        "net.norm.0",
    ]
    assert layers_of(names) == ["stage1.0", "stage1.1", "stage2.0", "other", "norm.0"]
    assert layers_of(["layers.0.up", "layers.0.deep.1.down", "head"]) == ["0", "0", "other"]
    assert layers_of(["layers.0.up", "layers.adapter.0.up"]) == ["0", "adapter.0"]
    assert layers_of([]) == []


@pytest.mark.parametrize(
    ("facts", "other", "tolerance", "expected"),
    [
        (SAME, Dtype.F32, 0.0, Sameness.IDENTICAL),
        (moved(0.0, changed=0), Dtype.F32, 0.0, Sameness.EQUAL),
        (moved(0.0, changed=0), Dtype.BF16, 0.0, Sameness.EQUAL),
        (moved(0.1), Dtype.F32, 0.0, Sameness.CHANGED),
        (moved(0.1), Dtype.F32, 0.1, Sameness.CLOSE),
        (moved(0.1), Dtype.F32, 0.09, Sameness.CHANGED),
        (moved(0.1, broken=1), Dtype.F32, 0.5, Sameness.CHANGED),
        (moved(0.0), Dtype.F32, 0.0, Sameness.CHANGED),
        (moved(0.1)._replace(l2_a=0.0), Dtype.F32, 1e9, Sameness.CHANGED),
    ],
)
def test_how_alike_two_tensors_are(
    facts: PairFacts, other: Dtype, tolerance: float, expected: Sameness
) -> None:
    assert sameness(tensor("x"), tensor("x", other), facts, tolerance) is expected


def test_rows_are_in_the_order_of_the_model_and_say_who_trains() -> None:
    measured = [
        (tensor(name), tensor(name), facts)
        for name, facts in (
            (f"{EXPERT}norm.weight", SAME),
            (f"{EXPERT}layers.10.a", moved(0.3, max_abs=2.0)),
            (f"{EXPERT}layers.2.a", moved(0.1, max_abs=3.0)),
            (f"{EXPERT}layers.2.b", moved(0.2)),
            (f"{EXPERT}layers.2.c", moved(0.0, changed=0)),
            (f"{VISION}encoder.layers.0.a", moved(0.4, broken=1)),
        )
    ]
    found = value_comparison(measured, SMOLVLA, {})
    assert [(row.component, row.layer) for row in found.layers] == [
        ("vision", "0"),
        ("expert", "2"),
        ("expert", "10"),
        ("expert", "other"),
    ]
    vision, expert = found.components
    assert (vision.trains, vision.moved, vision.broken) == (False, True, 1)
    assert (
        expert.trains,
        expert.moved,
        expert.tensors,
        expert.identical,
        expert.equal,
        expert.changed,
    ) == (True, False, 5, 1, 1, 3)
    assert (expert.low, expert.high, expert.max_abs) == (0.1, 0.3, 3.0)
    assert not found.same
    assert (
        value_comparison(
            measured, SMOLVLA, {"freeze_vision_encoder": False, "train_expert_only": False}
        ).moved
        == ()
    )


def test_with_a_tolerance_the_range_is_that_of_what_exceeds_it() -> None:
    measured = [
        (tensor(name), tensor(name), moved(rel))
        for name, rel in (("a", 0.1), ("b", 0.2), ("c", 0.4))
    ]
    (row,) = value_comparison(measured, GENERIC, {}, tolerance=0.15).components
    assert (row.close, row.changed, row.low, row.high) == (1, 2, 0.2, 0.4)
    (row,) = value_comparison(measured, GENERIC, {}, tolerance=1.0).components
    assert (row.close, row.changed, row.low, row.high) == (3, 0, 0.1, 0.4)


def test_a_tensor_of_zeros_that_changed_is_infinitely_far() -> None:
    (row,) = value_comparison(
        [(tensor("a"), tensor("a"), moved(0.1)._replace(l2_a=0.0))], GENERIC, {}
    ).components
    assert row.high == inf


def test_nothing_compared_is_no_change() -> None:
    found = value_comparison([], GENERIC, {}, uncompared=7)
    assert found.same
    assert (found.components, found.uncompared) == ((), 7)


NORM = st.just(0.0) | st.floats(1e-100, 1e150)


@given(st.lists(st.tuples(NORM, NORM), min_size=1))
def test_the_norm_of_tensors_together_is_between_their_own(
    norms: list[tuple[float, float]],
) -> None:
    facts = [
        PairFacts(4, same_bytes=False, changed=1, l2_a=before, l2_change=change)
        for before, change in norms
    ]
    low, high = (choose(one.rel_l2 for one in facts) for choose in (min, max))

    assert low * (1 - 1e-9) <= rel_l2_together(facts) <= high * (1 + 1e-9)


def test_norms_beyond_the_largest_double_count_by_the_most_changed_tensor() -> None:
    huge = PairFacts(4, same_bytes=False, changed=1, l2_a=inf, l2_change=1.0, rel_l2_of_huge=0.5)

    assert rel_l2_together([huge, moved(0.25)]) == 0.5
