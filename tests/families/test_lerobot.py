"""What rules know of LeRobot's policies is what the files of their families say."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

import pytest

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
