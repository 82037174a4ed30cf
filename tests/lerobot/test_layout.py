"""families/smolvla_layout.py against the modules of stock LeRobot.

Every name, shape and dtype, and which tensors train.

The policy is built with a tiny VLM, with its weights loaded and not, and with fewer expert layers
than VLM layers; the layout's rules are the same at any size.
"""

from __future__ import annotations

from typing import Any

import pytest

from ckpt_tools.families.smolvla import components, facts
from ckpt_tools.families.smolvla.layout import Dimensions, dtype_of, layout

pytestmark = pytest.mark.lerobot

TINY = {
    "text_layers": 4,
    "text_width": 32,
    "text_hidden": 48,
    "query_width": 32,
    "kv_width": 16,
    "vocabulary": 288,
    "vision_layers": 2,
    "vision_width": 16,
    "vision_hidden": 24,
    "patch_size": 8,
    "patches": 16,
    "connector_width": 64,
    "expert_layers": 4,
}
"""tiny_vlm.py in the words of `Dimensions`."""

type Built = dict[str, tuple[list[int], str, bool]]
"""What LeRobot builds: shape, dtype and whether it trains, by tensor."""


@pytest.fixture
def built(answers: dict[str, Any]) -> dict[str, Built]:
    """Return what stock LeRobot builds, by policy."""
    found: dict[str, Built] = answers["policies"]
    return found


CASES = [
    ("loaded", TINY),
    ("not loaded", TINY),
    ("half the expert", TINY | {"expert_layers": 2}),
    (
        "narrow",
        TINY
        | {
            "text_layers": 2,
            "expert_layers": 2,
            "expert_width_multiplier": 0.5,
            "state_dim": 8,
            "action_dim": 12,
        },
    ),
]


LOADED = {"loaded": True, "not loaded": False, "half the expert": True, "narrow": False}
"""Whether load_vlm_weights is true, by policy."""


@pytest.mark.parametrize(("policy", "dimensions"), CASES, ids=[name for name, _ in CASES])
def test_names_and_shapes_match_what_lerobot_builds(
    built: dict[str, Built], policy: str, dimensions: dict[str, Any]
) -> None:
    ours = [(name, list(shape)) for name, shape in layout(Dimensions(**dimensions))]
    theirs = [(name, shape) for name, (shape, _, _) in built[policy].items()]
    assert sorted(ours) == sorted(theirs)


@pytest.mark.parametrize("policy", LOADED)
def test_dtypes_match_those_of_lerobot(built: dict[str, Built], policy: str) -> None:
    wrong = {
        name: dtype
        for name, (_, dtype, _) in built[policy].items()
        if dtype_of(name, load_vlm_weights=LOADED[policy]).label != dtype
    }
    assert wrong == {}


@pytest.mark.parametrize("policy", LOADED)
def test_trainable_components_match_those_of_lerobot(built: dict[str, Built], policy: str) -> None:
    wrong = {
        name: trains
        for name, (_, _, trains) in built[policy].items()
        if facts.trains(components.component(name), {}) is not trains
    }
    assert wrong == {}


@pytest.mark.parametrize("policy", LOADED)
def test_every_tensor_that_lerobot_builds_has_a_component(
    built: dict[str, Built], policy: str
) -> None:
    assert {components.component(name) for name in built[policy]} == {
        *components.VLM,
        components.EXPERT,
        components.PROJECTIONS,
    }
