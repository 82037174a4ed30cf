"""Stock policies of every type that builds offline, and wrong ones of them, against stock LeRobot.

`ask_stock_policies.py` makes the checkpoints and says what LeRobot does with each; the rules are
asked of the same folders.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from ckpt_tools import api
from ckpt_tools.families.lerobot import POLICIES
from ckpt_tools.families.lerobot_fields import known_fields
from ckpt_tools.rules.finding import Severity
from tests.support import forked

pytestmark = pytest.mark.lerobot

ASK = Path(__file__).with_name("ask_stock_policies.py")

# What the rules say, and at which stage LeRobot fails; "other" where it goes on and does something
# else, "" where it does the same.
EXPECTED: dict[str, tuple[set[str], str]] = {
    "untouched": (set(), ""),
    "no type": ({"CK705"}, "config"),
    "type of LeRobot 0.5": ({"CK705"}, "config"),
    "type of nobody": ({"CK705"}, "config"),
    "field of nobody": ({"CK704"}, "config"),
    "action of another width": ({"CK307"}, "policy"),
    "chunk of another size": ({"CK307"}, "policy"),
    "more actions than the chunk": ({"CK707"}, "config"),
    "ensembling several actions": ({"CK707"}, "config"),
    "more actions than the horizon": ({"CK707"}, "config"),
    "more actions than are left": ({"CK707"}, "other"),
    "no processors": ({"CK721"}, "processors"),
    "no min of the state": ({"CK723"}, "inference"),
    "no renaming": ({"CK732"}, "processors"),
    "no unnormalizer": ({"CK728"}, "other"),
    "camera renamed away": ({"CK737"}, "inference"),
    "camera nobody reads": ({"CK737"}, ""),
    "statistics among the weights": ({"CK310", "CK721"}, "processors"),
}


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any]]:
    """Return the folder of the checkpoints and what LeRobot says of them."""
    home = tmp_path_factory.mktemp("stock-policies")
    return home, forked.answers(ASK, home)


def wrong(folder: Path) -> set[str]:
    """Return the codes of the warnings and errors."""
    found = api.verify(str(folder), values=True).findings
    return {one.code for one in found if one.severity is not Severity.NOTE}


def test_stock_policies_have_no_warning_and_no_error(told: tuple[Path, dict[str, Any]]) -> None:
    home, answers = told
    saved, bare = list((home / "good").iterdir()), list((home / "files").iterdir())
    folders = [*saved, *bare]
    assert {"act", "tdmpc", "vqbet", "pi0", "pi05", "xvla", "groot", "evo1"} <= {
        folder.name for folder in folders
    }
    found = {folder.name: wrong(folder) for folder in saved}
    # These have one tensor of no policy in place of weights.
    found |= {folder.name: wrong(folder) - {"CK305", "CK306"} for folder in bare}
    assert found == {folder.name: set() for folder in folders}
    assert set(answers["types"]) - {"smolvla_reflow"} == set(POLICIES)


def test_the_fields_of_every_type_are_those_of_the_installed_lerobot(
    told: tuple[Path, dict[str, Any]],
) -> None:
    fields = told[1]["fields"]
    kinds = set(POLICIES) - {"smolvla"}
    assert {kind: {*fields[kind], "type"} for kind in kinds} == {
        kind: known_fields(kind) for kind in kinds
    }


def test_the_rules_find_what_lerobot_refuses_or_does_otherwise(
    told: tuple[Path, dict[str, Any]],
) -> None:
    home, answers = told
    found = {}
    for folder in (home / "bad").iterdir():
        answer = answers.get(folder.name)
        if answer is None:
            continue
        if "left" in answer and answer["left"] is not None:
            # A stock diffusion policy of 8 actions has taken one of them.
            outcome = "other" if answer["left"] < 7 else ""
        else:
            same = answer == answers["untouched"]
            outcome = answer["stage"] or ("" if same else "other")
        found[folder.name] = (wrong(folder), outcome)
    assert found == {name: EXPECTED[name] for name in found}
    assert len(found) >= len(EXPECTED) - 1  # without diffusers, one fewer


def test_the_suggested_migration_gives_a_policy_without_findings(
    told: tuple[Path, dict[str, Any]],
) -> None:
    home, answers = told
    assert answers["migrated"]["stage"] == ""
    assert wrong(home / "bad" / "statistics among the weights_migrated") == set()


def test_a_trained_vlm_keeps_its_norms_at_1_and_is_not_called_unloaded(
    told: tuple[Path, dict[str, Any]],
) -> None:
    vlms = told[0] / "vlm"
    assert "CK405" in wrong(vlms / "fresh")
    assert "CK405" not in wrong(vlms / "trained")
    data = (vlms / "trained" / "model.safetensors").read_bytes()
    start = 8 + int.from_bytes(data[:8], "little")
    header = json.loads(data[8:start])
    for name, entry in header.items():
        if ".text_model." in name and name.endswith("norm.weight"):
            low, high = entry["data_offsets"]
            assert entry["dtype"] == "BF16"
            assert set(zip(*[iter(data[start + low : start + high])] * 2, strict=True)) == {
                (0x80, 0x3F)
            }
