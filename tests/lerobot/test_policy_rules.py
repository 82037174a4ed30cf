"""The rules about a policy's JSON files against stock LeRobot.

They find something exactly where LeRobot rejects a file, fails, or acts differently.

`ask_policy_rules.py` makes the checkpoints and records what LeRobot does with each; the rules
check the same folders.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from ckpt_tools import api
from ckpt_tools.rules.processors import REGISTERED
from tests.support import forked

pytestmark = pytest.mark.lerobot

ASK = Path(__file__).with_name("ask_policy_rules.py")

# What the rules say, and at which stage LeRobot fails; "other" where it goes on and does something
# else, "" where it does the same.
EXPECTED: dict[str, tuple[set[str], str]] = {
    "untouched": (set(), ""),
    "use_reflow false": ({"CK702"}, "config"),
    "teacher_model_path null": ({"CK703"}, "config"),
    "solver": ({"CK703"}, "config"),
    "a field that nobody knows": ({"CK704"}, "config"),
    "type of the plugin": ({"CK705"}, "config"),
    "no type": ({"CK705"}, "config"),
    "chunk_size a word": ({"CK707"}, "config"),
    "chunk_size 10.0": ({"CK707"}, "config"),
    "num_vlm_layers null": ({"CK706"}, "policy"),
    "n_action_steps beyond the chunk": ({"CK707"}, "config"),
    "n_action_steps 0": ({"CK707"}, "inference"),
    "use_cache false": ({"CK708"}, "inference"),
    "num_steps 0": ({"CK709"}, "inference"),
    "num_steps -1": ({"CK709"}, "other"),
    "state wider than max_state_dim": ({"CK712"}, "policy"),
    "no image feature": ({"CK712"}, "inference"),
    "no action feature": ({"CK712"}, "inference"),
    "feature with names": ({"CK712"}, "config"),
    "feature without type": ({"CK712"}, "config"),
    "mode unknown": ({"CK713", "CK723"}, "config"),
    "defaults left out": (set(), ""),
    "numbers as words": ({"CK706"}, ""),
    "no preprocessor": ({"CK721"}, "processors"),
    "no processors": ({"CK721"}, "processors"),
    "state file missing": ({"CK722"}, "processors"),
    "no state file named": ({"CK723"}, "other"),
    "statistics of the state missing": ({"CK723"}, "other"),
    "std of the state missing": ({"CK723"}, "inference"),
    "state left as it is": ({"CK723"}, "other"),
    "state not listed": ({"CK723"}, "other"),
    "keys as so100.buffer": ({"CK724"}, "other"),
    "keys as buffers": ({"CK724"}, "other"),
    "a key without a dot": ({"CK724"}, "processors"),
    "mean of the state NaN": ({"CK725"}, "other"),
    "std of the action infinite": ({"CK725", "CK729"}, "other"),
    "std of the state zero": ({"CK726"}, "other"),
    "std of the action zero": ({"CK726"}, "other"),
    "std of the action negative": ({"CK726"}, "other"),
    "statistics of another robot": ({"CK727"}, "inference"),
    "no unnormalizer": ({"CK728"}, "other"),
    "action left as it is": ({"CK728"}, "other"),
    "action of another dataset": ({"CK729"}, "other"),
    "a step nobody registered": ({"CK731"}, "processors"),
    "a step by class": ({"CK731"}, "processors"),
    "a step by nothing": ({"CK731"}, "processors"),
    "a setting that the step does not have": ({"CK733"}, "processors"),
    "a mode that the step does not have": ({"CK713", "CK723"}, "processors"),
    "no tokenizer": ({"CK732"}, "inference"),
    "no newline": ({"CK732"}, "other"),
    "newline after the tokenizer": ({"CK732"}, "other"),
    "no renaming": ({"CK732"}, "evaluation"),
    "no device": ({"CK732"}, "evaluation"),
    "no batch": (set(), ""),
    "more statistics": (set(), ""),
    "a tensor beside the statistics": ({"CK734"}, ""),
    "a NaN that is not read": (set(), ""),
    "another eps": (set(), ""),
}


@pytest.fixture(scope="module")
def lerobot_results(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any]]:
    """Return the folder of the checkpoints and what LeRobot does with them."""
    home = tmp_path_factory.mktemp("policy-rules")
    return home / "variants", forked.answers(ASK, home)


def test_lerobot_fails_on_each_checkpoint_as_the_rules_predict(
    lerobot_results: tuple[Path, dict[str, Any]],
) -> None:
    behaviour = lerobot_results[1]["behaviour"]
    normal = behaviour["untouched"]
    assert all("nan" not in number for number in normal["action"])
    outcomes = {
        name: found["stage"] or ("" if found == normal else "other")
        for name, found in behaviour.items()
    }
    assert outcomes == {name: outcome for name, (_, outcome) in EXPECTED.items()}


def test_the_rules_find_exactly_what_fails_in_lerobot(
    lerobot_results: tuple[Path, dict[str, Any]],
) -> None:
    found = {
        name: {finding.code for finding in api.verify(str(lerobot_results[0] / name)).findings}
        for name in lerobot_results[1]["behaviour"]
    }
    own = {
        name: {
            code for code in codes if "CK701" <= code < "CK750" and code not in ("CK710", "CK745")
        }
        for name, codes in found.items()
    }
    assert own == {name: codes for name, (codes, _) in EXPECTED.items()}
    assert all("CK710" in codes for codes in found.values()), (
        "the tiny VLM is a folder on this machine"
    )
    assert all("CK745" in codes for codes in found.values()), (
        "the safetensors library saves with mode 0600"
    )


def test_findings_where_lerobot_fails_or_acts_differently_are_not_notes(
    lerobot_results: tuple[Path, dict[str, Any]],
) -> None:
    severities = {
        name: {
            finding.severity.value
            for finding in api.verify(str(lerobot_results[0] / name)).findings
            if finding.code in EXPECTED[name][0]
        }
        for name in lerobot_results[1]["behaviour"]
    }
    warned = {
        "no newline",
        "newline after the tokenizer",
        "numbers as words",
        "a tensor beside the statistics",
    }
    assert {name for name, found in severities.items() if found == {"warning"}} == warned
    assert {name for name, found in severities.items() if "error" in found} == {
        name for name, (_, does) in EXPECTED.items() if does
    } - warned


def test_nan_statistics_reach_the_actions(lerobot_results: tuple[Path, dict[str, Any]]) -> None:
    assert set(lerobot_results[1]["behaviour"]["mean of the state NaN"]["action"]) == {"nan"}
    assert lerobot_results[1]["behaviour"]["std of the action infinite"]["action"][-1] == "inf"


def test_processor_steps_match_those_that_lerobot_registers(
    lerobot_results: tuple[Path, dict[str, Any]],
) -> None:
    assert set(lerobot_results[1]["registered"]) == REGISTERED
