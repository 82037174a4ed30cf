"""What rules know of LeRobot's policies is what the files of their families say."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, cast

import pytest

from ckpt_tools.checkpoint.model import Checkpoint, Document
from ckpt_tools.diff.summary import summarize
from ckpt_tools.families.family_file import load
from ckpt_tools.families.lerobot import POLICIES
from ckpt_tools.storage.shipped import families

if TYPE_CHECKING:
    from collections.abc import Mapping

KINDS = [key for library, key in families() if library == "lerobot" and key != "smolvla"]


@pytest.mark.parametrize("kind", KINDS)
def test_modes_steps_and_loader_are_those_of_the_family(kind: str) -> None:
    policy, file = POLICIES[kind], load("lerobot", kind)
    assert file is not None
    modes = cast("Mapping[str, str]", file.facts["modes"])
    assert policy.modes == tuple(modes[name] for name in ("VISUAL", "STATE", "ACTION"))
    steps = cast("Mapping[str, list[str]]", file.facts["processors"])["pre"]
    assert set(policy.steps) <= set(steps)
    assert policy.hides == (file.loader["missing"] == "hidden")


@pytest.mark.parametrize(
    ("config", "shown"),
    [
        (
            {"type": "act", "chunk_size": 100, "n_action_steps": 50, "vision_backbone": "resnet18"},
            {"type": "act", "vision_backbone": "resnet18", "chunk_size": 100, "n_action_steps": 50},
        ),
        (
            {"type": "diffusion", "horizon": 16, "n_obs_steps": 2, "n_action_steps": 8},
            {"type": "diffusion", "horizon": 16, "n_obs_steps": 2, "n_action_steps": 8},
        ),
        ({"type": "acme", "chunk_size": 4}, {"type": "acme", "chunk_size": 4}),
    ],
)
def test_show_has_the_lengths_of_a_policys_chunk(
    config: dict[str, object], shown: dict[str, object]
) -> None:
    value = {"input_features": {}, "output_features": {}, "device": "cpu"} | config
    document = Document("config.json", json.dumps(value), value)
    found = summarize(Checkpoint("x", "x", weights=(), documents=(document,)))
    assert {setting.key: setting.value for setting in found.settings} == shown
