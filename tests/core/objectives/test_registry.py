"""An objective is its module, its line in the registry, and its rows in the documentation."""

from __future__ import annotations

import ast
import re
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from lerobot_policy_smolvla_reflow.modeling_smolvla_reflow import SmolVLAReflowPolicy
from lerobot_policy_smolvla_reflow.objectives import OBJECTIVES
from lerobot_policy_smolvla_reflow.objectives.step import Cost, Loss, Objective, Settings, Step

import lerobot_policy_smolvla_reflow
from tests.core.support import ROOT

PLUGIN = Path(str(lerobot_policy_smolvla_reflow.__file__)).parent
MOST_LINES = 120
TABLES = ("loss", "teacher passes", "fields")
"""Words in the headers of the page's tables that have a row for every objective."""


def test_an_objective_has_at_most_120_lines() -> None:
    texts = [path.read_text() for path in (PLUGIN / "objectives").glob("*.py")]
    lines = [len(text.splitlines()) for text in texts if "\nOBJECTIVE = " in text]
    assert len(lines) == len(OBJECTIVES)
    assert max(lines) <= MOST_LINES


def test_only_the_registry_names_objectives() -> None:
    """But for the default."""
    found = {
        (path.relative_to(PLUGIN).as_posix(), node.value)
        for path in PLUGIN.rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Constant) and node.value in OBJECTIVES.keys() - {"reflow"}
    }
    assert found == {("objectives/__init__.py", name) for name in OBJECTIVES if name != "reflow"}


@pytest.mark.parametrize("header", TABLES)
def test_every_objective_has_a_row_in_each_table_of_the_page(header: str) -> None:
    page = (ROOT / "docs/few-steps.md").read_text()
    tables = re.findall(r"(?:^\|.*\n)+", page, re.MULTILINE)
    table = next(table for table in tables if header in table.partition("\n")[0])
    cells = (line.split("|")[1] for line in table.splitlines()[2:])
    named = [name for cell in cells for name in re.findall(r"`(\w+)`", cell)]
    assert sorted(named) == sorted(OBJECTIVES)


def to_zero(step: Step, _: Settings) -> Loss:
    """A student that stands still."""
    error_B = (step.z1_BTA - step.student(step.z1_BTA, step.at(1))).square().mean((1, 2))
    return Loss(error_B if step.reduction == "none" else error_B.mean(), {"still": 1.0})


def test_a_line_in_the_registry_is_enough_to_train_with_an_objective_and_save(
    make_student: Callable[..., SmolVLAReflowPolicy],
    batch: dict[str, torch.Tensor],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    added = Objective(loss=to_zero, cost=lambda _: Cost(teacher=0, student=1), fields=lambda _: ())
    monkeypatch.setitem(OBJECTIVES, "still", added)
    student = make_student(objective="still")
    loss, logged = student.forward(batch)
    loss.backward()
    assert logged == {"still": 1.0, "loss": pytest.approx(float(loss.detach()))}
    student.save_pretrained(tmp_path)
    assert (tmp_path / "model.safetensors").is_file()
