"""`ckpt verify --load` loads and runs the policy with LeRobot and reports its problems."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from lerobot_policy_smolvla_reflow.doctor.probe import problems
from safetensors.torch import load_file, save_file

from ckpt_tools import api

STATISTICS = "policy_postprocessor_step_0_unnormalizer_processor.safetensors"


def weights(change: Callable[[dict[str, torch.Tensor]], object]) -> Callable[[Path], None]:
    def apply(folder: Path) -> None:
        tensors = load_file(folder / "model.safetensors")
        change(tensors)
        save_file(tensors, folder / "model.safetensors")

    return apply


def statistics(folder: Path) -> None:
    save_file(
        {name: tensor * torch.nan for name, tensor in load_file(folder / STATISTICS).items()},
        folder / STATISTICS,
    )


def config(**values: object) -> Callable[[Path], None]:
    def apply(folder: Path) -> None:
        document = json.loads((folder / "config.json").read_text()) | values
        (folder / "config.json").write_text(json.dumps(document))

    return apply


BAD = {
    "a tensor missing": (
        weights(lambda tensors: tensors.pop("model.action_in_proj.bias")),
        "is missing 1 of",
    ),
    "NaN": (
        weights(lambda tensors: tensors["model.action_in_proj.bias"].fill_(torch.nan)),
        "holds NaN or infinity in model.action_in_proj.bias",
    ),
    "a field that stock LeRobot refuses": (config(flux_capacitor=1), "flux_capacitor"),
    "processors gone": (
        lambda folder: (folder / "policy_preprocessor.json").unlink(),
        "loads, but cannot act: FileNotFoundError",
    ),
    "statistics of NaN": (statistics, "acts with NaN or infinity"),
    "another action dimension": (config(max_action_dim=9), "shape"),
}


@pytest.mark.parametrize("case", BAD)
def test_a_broken_checkpoint_gives_one_problem(
    case: str, teacher_folder: Path, tmp_path: Path
) -> None:
    shutil.copytree(teacher_folder, tmp_path / "bad")
    change, words = BAD[case]
    change(tmp_path / "bad")
    found = problems(str(tmp_path / "bad"))
    assert len(found) == 1
    assert words in found[0]


@pytest.mark.lerobot
def test_verify_loads_and_runs_the_policy(teacher_folder: Path, tmp_path: Path) -> None:
    shutil.copytree(teacher_folder, tmp_path / "bad")
    statistics(tmp_path / "bad")
    checked = api.verify(str(tmp_path / "bad"), load=True)
    assert "CK751" in checked.checked
    found = [finding for finding in checked.findings if finding.code == "CK751"]
    assert [finding.what for finding in found] == ["acts with NaN or infinity"]
