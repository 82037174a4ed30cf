"""Real policies of stock LeRobot: what it would write, and what loading them shows.

One process makes and asks everything, since LeRobot takes seconds to import.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from ckpt_tools.live.stage import hub_cache

pytestmark = pytest.mark.lerobot

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
SECONDS = 600
GOOD = ("act", "diffusion", "tdmpc", "vqbet", "gaussian_actor", "multi_task_dit", "smolvla", "xvla")


@pytest.fixture(scope="module")
def workshop(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The policies, with answers.json."""
    folder = tmp_path_factory.mktemp("policies") / "workshop"
    space = tmp_path_factory.mktemp("space")
    bases = {
        "example/tiny-clip": str(folder / "bases" / "clip"),
        "example/tiny-vlm": str(folder / "bases" / "vlm"),
        "example/tiny-act": str(folder / "act"),
    }
    environment = {
        **os.environ,
        **hub_cache(bases, str(space)),
        "HF_HUB_OFFLINE": "1",
        "CUDA_VISIBLE_DEVICES": "",
        "PYTHONPATH": os.pathsep.join((str(ROOT), str(folder / "plugins"))),
    }
    done = subprocess.run(
        [sys.executable, str(HERE / "ask_probes.py"), str(folder)],
        capture_output=True, text=True, timeout=SECONDS, env=environment, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]
    return folder


@pytest.fixture(scope="module")
def answers(workshop: Path) -> dict[str, dict[str, Any]]:
    found: dict[str, dict[str, Any]] = json.loads(
        (workshop / "answers.json").read_text(encoding="utf-8")
    )
    return found


@pytest.mark.parametrize("kind", GOOD)
def test_what_lerobot_would_write_is_what_it_writes(
    kind: str, answers: dict[str, dict[str, Any]]
) -> None:
    assert answers["names"][kind] == {"missing": [], "more": [], "unlike": []}


@pytest.mark.parametrize("kind", [*GOOD, "act-lora", "hiding, intact"])
def test_a_good_policy_loads_and_acts(kind: str, answers: dict[str, dict[str, Any]]) -> None:
    assert answers["loads"][kind] == []


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("a tensor missing", "does not load: RuntimeError"),
        ("a tensor more", "does not load: RuntimeError"),
        ("another shape", "does not load: size mismatch"),
        ("an absurd width", "does not load"),
        ("an action of NaN", "acts with NaN or infinity"),
        ("no such type", "no policy of type 'acme'"),
    ],
)
def test_a_broken_policy_has_one_problem(
    name: str, words: str, answers: dict[str, dict[str, Any]]
) -> None:
    (found,) = answers["loads"][name]
    assert words in found


@pytest.mark.parametrize("name", ["hiding, a tensor missing", "hiding, a tensor renamed"])
def test_an_error_that_a_loader_hides_is_found(
    name: str, answers: dict[str, dict[str, Any]]
) -> None:
    (found,) = answers["loads"][name]
    assert found.startswith("does not load: its loader hides RuntimeError: Error(s) in loading")


def test_weights_that_a_loader_forgets_are_found_by_comparing(
    answers: dict[str, dict[str, Any]],
) -> None:
    (found,) = answers["loads"]["forgetful"]
    assert "tensors are not what the file has" in found
    assert answers["loads"]["forgetful, not compared"] == []  # nothing else would find it


def test_a_base_that_is_not_here_is_no_problem_of_the_policy(
    answers: dict[str, dict[str, Any]],
) -> None:
    assert answers["missing"] == {"a base that is not here": "example/other-clip"}
