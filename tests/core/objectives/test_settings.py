"""`--policy.objective`: what it sets, what it rejects, and what survives a resume."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import Any

import pytest
from lerobot.configs import PreTrainedConfig
from lerobot_policy_smolvla_reflow.configuration_smolvla_reflow import USUAL_STEPS
from lerobot_policy_smolvla_reflow.objectives import OBJECTIVES
from lerobot_policy_smolvla_reflow.objectives.step import Cost
from lerobot_policy_smolvla_reflow.run_checks import check_environment

from lerobot_policy_smolvla_reflow import ReflowError, SmolVLAReflowConfig
from tests.core.support import ROOT


def student(teacher: Path, **fields: Any) -> SmolVLAReflowConfig:
    return SmolVLAReflowConfig(teacher_model_path=str(teacher), device="cpu", **fields)


@pytest.mark.parametrize("objective", OBJECTIVES)
def test_a_student_is_saved_with_the_steps_it_was_made_for(
    objective: str, teacher_folder: Path
) -> None:
    made_for = {"reflow": 10}  # any number: the teacher's, unless it is given
    saved = student(teacher_folder, objective=objective).saved_config()
    assert saved.num_steps == made_for.get(objective, 1)
    assert not hasattr(saved, "objective")


def test_grid_makes_a_student_for_its_steps_and_reflow_for_those_given(
    teacher_folder: Path,
) -> None:
    assert student(teacher_folder, objective="grid", grid_steps=5).num_steps == 5
    assert student(teacher_folder, objective="grid", grid_steps=10).num_steps == 10
    assert student(teacher_folder, num_steps=2).num_steps == 2


REJECTED = [
    ({"objective": "meanflow"}, "objective", "use one of reflow, grid, snapflow, consistency"),
    ({"objective": "drift", "positives": "both"}, "positives", "demonstrations, teacher"),
    ({"objective": "imle", "samples": 1}, "samples", "must be at least 2, not 1; 8 is usual"),
    ({"objective": "consistency", "anneal_steps": -1}, "anneal_steps", "or positive, not -1"),
    ({"objective": "grid", "grid_steps": 3}, "grid_steps", "must divide teacher_num_steps (10)"),
    ({"objective": "grid", "grid_steps": 0}, "grid_steps", "must divide teacher_num_steps (10)"),
    (
        {"objective": "grid", "grid_steps": 2, "pairs_path": "pairs"},
        "pairs_path",
        "remove pairs_path, or set grid_steps to 1",
    ),
    (
        {"objective": "snapflow", "num_steps": 4},
        "num_steps",
        "is 4, but objective snapflow trains for sampling in 1; remove policy.num_steps",
    ),
    (
        {"objective": "grid", "grid_steps": 2, "num_steps": 4},
        "num_steps",
        "is 4, but objective grid trains for sampling in 2",
    ),
    ({"grid_steps": 2}, "grid_steps", "has no effect with objective reflow"),
    ({"objective": "grid", "mix_real_data": 0.5}, "mix_real_data", "remove policy.mix_real_data"),
    ({"objective": "flow", "pairs_path": "pairs"}, "pairs_path", "has no effect"),
    ({"objective": "drift", "pairs_path": "pairs"}, "pairs_path", "has no effect"),
    ({"objective": "regression", "teacher_num_steps": 4}, "teacher_num_steps", "has no effect"),
    ({"objective": "imle", "straightness_freq": 10}, "straightness_freq", "has no effect"),
]  # fmt: skip


@pytest.mark.parametrize(("fields", "name", "words"), REJECTED)
def test_what_cannot_be_combined_is_rejected_in_a_sentence(
    teacher_folder: Path, fields: dict[str, Any], name: str, words: str
) -> None:
    with pytest.raises(ReflowError) as caught:
        student(teacher_folder, **fields)
    assert str(caught.value).startswith(f"`policy.{name}`: ")
    assert words in str(caught.value)
    assert str(caught.value).endswith(".")


def test_consistency_has_a_weight_average_and_cannot_do_without(
    teacher_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert student(teacher_folder, objective="consistency").ema_decay == 0.95
    assert student(teacher_folder, objective="consistency", ema_decay=0.5).ema_decay == 0.5
    assert student(teacher_folder, objective="drift").ema_decay == 0
    monkeypatch.setenv("ACCELERATE_USE_FSDP", "true")
    with pytest.raises(ReflowError, match=r"`policy.ema_decay`: not supported under FSDP.*another"):
        check_environment(student(teacher_folder, objective="consistency"))
    monkeypatch.setattr(sys, "argv", ["lerobot-train", "--policy.ema_decay=0"])
    with pytest.raises(ReflowError, match=r"`policy.ema_decay`: must not be 0: the weight average"):
        student(teacher_folder, objective="consistency", ema_decay=0.0)


def test_the_gap_is_annealed_over_the_run(
    teacher_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert student(teacher_folder, objective="consistency").anneal_steps == USUAL_STEPS
    monkeypatch.setattr(sys, "argv", ["lerobot-train", "--steps=300"])
    assert student(teacher_folder, objective="consistency").anneal_steps == 300
    assert student(teacher_folder, objective="consistency", anneal_steps=9).anneal_steps == 9
    assert student(teacher_folder).anneal_steps == 0


@pytest.mark.parametrize("objective", OBJECTIVES)
def test_a_config_read_back_for_a_resume_is_the_same(
    objective: str, teacher_folder: Path, tmp_path: Path
) -> None:
    config = student(teacher_folder, objective=objective)
    PreTrainedConfig._save_pretrained(config, tmp_path)
    assert PreTrainedConfig.from_pretrained(tmp_path) == config


def test_a_cost_is_said_in_words() -> None:
    assert str(Cost(teacher=10, student=1)) == "10 teacher passes and 1 student pass"
    assert str(Cost(teacher=0, student=8)) == "8 student passes"
    assert str(Cost(1, 1, 1)) == "1 teacher pass, 1 average pass and 1 student pass"


def test_the_page_states_the_cost_of_every_objective(teacher_folder: Path) -> None:
    page = (ROOT / "docs/few-steps.md").read_text()
    table = page.partition("| objective | teacher passes |")[2].partition("\n\n")[0]
    rows = re.findall(r"^\| `(\w+)` \| (\d+) \| (\d+) \|", table, re.MULTILINE)
    stated = {name: (int(teacher), int(trained)) for name, teacher, trained in rows}
    costs = {
        name: objective.cost(student(teacher_folder, objective=name))
        for name, objective in OBJECTIVES.items()
    }
    assert stated == {
        name: (cost.teacher, cost.student + cost.average) for name, cost in costs.items()
    }
