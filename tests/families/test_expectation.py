"""What SmolVLA's family expects of a checkpoint, by its config and by what its tensors tell.

At full size and at others.
"""

from __future__ import annotations

from typing import Any

import pytest

from ckpt_tools.checkpoint.dtype import Dtype
from ckpt_tools.checkpoint.model import Checkpoint, Tensor
from ckpt_tools.families.family import Expectation, Unknown
from ckpt_tools.families.registry import family_of
from ckpt_tools.families.smolvla import components
from ckpt_tools.families.smolvla.layout import Dimensions, layout
from ckpt_tools.rules.engine import check_rules
from ckpt_tools.rules.rule import Subject
from tests.support.policies import BIAS, RULES, VLM, checkpoint_of, policy, said


def expectation(checkpoint: Checkpoint) -> Expectation:
    found = family_of(checkpoint).expected(checkpoint)
    assert isinstance(found, Expectation)
    return found


@pytest.mark.parametrize("loads", [True, False])
def test_the_full_size_policy_is_as_expected(*, loads: bool) -> None:
    checkpoint = policy(Dimensions(), {}, loads=loads)
    wanted = expectation(checkpoint).tensors
    assert {tensor.name: (tensor.dtype, tensor.shape) for tensor in checkpoint.tensors} == {
        name: (one.dtype, one.shape) for name, one in wanted.items()
    }
    assert said(checkpoint) == ([] if loads else ["CK311"])


def test_the_size_of_a_policy_built_with_false_in_bytes() -> None:
    found, *_ = check_rules(
        RULES, Subject(checkpoint := policy(Dimensions(), {}, loads=False), family_of(checkpoint))
    )
    assert "1,197,7" in found[0].what
    assert "906,6" in found[0].what


SIZES: dict[str, tuple[Dimensions, dict[str, Any]]] = {
    "half the expert": (
        Dimensions(text_layers=4, expert_layers=2),
        {"num_vlm_layers": 4, "num_expert_layers": 2},
    ),
    "narrow": (
        Dimensions(
            text_layers=2, expert_layers=2, expert_width_multiplier=0.5, state_dim=8, action_dim=12
        ),
        {
            "num_vlm_layers": 2,
            "expert_width_multiplier": 0.5,
            "max_state_dim": 8,
            "max_action_dim": 12,
        },
    ),
    "all layers": (
        Dimensions(text_layers=3, expert_layers=3),
        {"num_vlm_layers": 0, "vlm_model_name": "/tiny"},
    ),
    "all layers of the hub's": (
        Dimensions(text_layers=32, expert_layers=32),
        {"num_vlm_layers": -1},
    ),
    "a VLM with fewer layers": (
        Dimensions(text_layers=4, expert_layers=4),
        {"vlm_model_name": "/tiny"},
    ),
}


@pytest.mark.parametrize("sizes", SIZES)
def test_other_sizes_follow_from_the_config(sizes: str) -> None:
    dimensions, values = SIZES[sizes]
    wanted = expectation(policy(dimensions, values)).tensors
    assert {name: one.shape for name, one in wanted.items()} == dict(layout(dimensions))


@pytest.mark.parametrize(("every", "wide"), [(2, 8), (3, 10), (1, 0), (0, 16), (-1, 16)])
def test_the_layers_that_attend_to_the_vlm_are_wide(every: int, wide: int) -> None:
    wanted = expectation(
        policy(Dimensions(self_attention_every=every), {"self_attn_every_n_layers": every})
    ).tensors
    found = [
        name
        for name, one in wanted.items()
        if name.endswith("k_proj.weight")
        and components.component(name) == components.EXPERT
        and one.dtype is Dtype.F32
    ]
    assert len(found) == wide


def test_one_layer_of_another_width_does_not_decide() -> None:
    whole = policy(Dimensions(), {})
    odd = tuple(
        tensor._replace(shape=(961,))
        if tensor.name.endswith("layers.7.input_layernorm.weight")
        else tensor
        for tensor in whole.tensors
    )
    assert (
        expectation(checkpoint_of(odd, whole.documents[0].value)).tensors
        == expectation(whole).tensors
    )


def test_without_its_vlm_a_policys_names_are_known_but_not_its_sizes() -> None:
    wanted = expectation(
        policy(Dimensions(), {}, keep=lambda name: not name.startswith(VLM))
    ).tensors
    assert wanted.keys() == dict(layout(Dimensions())).keys()
    assert wanted[f"{VLM}model.vision_model.post_layernorm.bias"].shape is None
    assert wanted[f"{VLM}model.text_model.norm.weight"].shape == (960,)
    assert wanted[BIAS].shape == (960,)


def test_the_sizes_of_the_vlm_are_inferred_from_a_teachers_copy() -> None:
    own = policy(Dimensions(), {}, keep=lambda name: not name.startswith(VLM)).tensors
    theirs = tuple(
        tensor._replace(name=f"teacher.{tensor.name}")
        for tensor in policy(Dimensions(), {}).tensors
    )
    assert {
        name: one.shape
        for name, one in expectation(
            checkpoint_of((*own, *theirs), {"type": "smolvla"})
        ).tensors.items()
    } == dict(layout(Dimensions()))


@pytest.mark.parametrize(
    ("values", "reason"),
    [
        ({"num_vlm_layers": True}, "num_vlm_layers in config.json must be an integer"),
        ({"num_vlm_layers": 10**400}, "num_vlm_layers in config.json must be an integer"),
        ({"num_vlm_layers": 10**6}, "num_vlm_layers in config.json must be an integer"),
        ({"num_expert_layers": 2.0}, "num_expert_layers in config.json must be an integer"),
        ({"num_expert_layers": 5}, "the VLM's 16 layers are not a multiple"),
        ({"max_action_dim": 0}, "max_action_dim in config.json must be an integer"),
        (
            {"expert_width_multiplier": "wide"},
            "expert_width_multiplier in config.json must be a positive number",
        ),
        (
            {"expert_width_multiplier": 0},
            "expert_width_multiplier in config.json must be a positive number",
        ),
        (
            {"expert_width_multiplier": float("nan")},
            "expert_width_multiplier in config.json must be a positive number",
        ),
        ({"attention_mode": None}, "attention_mode in config.json must be a string"),
    ],
)
def test_with_an_impossible_config_the_expected_tensors_are_unknown(
    values: dict[str, Any], reason: str
) -> None:
    checkpoint = policy(Dimensions(), values)
    found = family_of(checkpoint).expected(checkpoint)
    assert isinstance(found, Unknown)
    assert reason in found.reason


def test_without_a_config_or_own_tensors_the_expected_tensors_are_unknown() -> None:
    members = policy(Dimensions(), {}).tensors
    strange = (Tensor("x", Dtype.F32, (1,), "model.safetensors", 0, 4),)
    for checkpoint in (
        checkpoint_of(members, None),
        checkpoint_of(strange, {"type": "smolvla"}),
        checkpoint_of(strange, {}),
    ):
        assert isinstance(family_of(checkpoint).expected(checkpoint), Unknown)
