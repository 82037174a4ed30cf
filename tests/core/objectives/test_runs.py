"""Stock `lerobot-train` with every objective: a normal SmolVLA's checkpoint, an exact resume."""

from __future__ import annotations

import json
from pathlib import Path
from typing import NamedTuple

import pytest
import torch
from lerobot_policy_smolvla_reflow.doctor.probe import problems
from lerobot_policy_smolvla_reflow.objectives import OBJECTIVES
from safetensors.torch import load_file, save_file
from torch import Tensor

from ckpt_tools import api
from ckpt_tools.rules.finding import Severity
from tests.core.support import (
    CHUNK,
    TRAIN_SEVERAL,
    WITHOUT_PLUGIN,
    make_batch,
    python,
    resume_arguments,
    train_arguments,
)

pytestmark = pytest.mark.lerobot

TRUE_OF_THE_TOY = {"CK710"}  # its VLM is a folder of this machine

LOAD_ALL = """
import json, sys, torch
from lerobot.configs import PreTrainedConfig
from lerobot.policies.smolvla.modeling_smolvla import SmolVLAPolicy
from lerobot.utils.import_utils import register_third_party_plugins
from safetensors.torch import load_file, save_file
register_third_party_plugins()
assert "smolvla_reflow" not in PreTrainedConfig.get_known_choices(), "the plugin is there"
torch.set_num_threads(1)
folders, batch, out = json.loads(sys.argv[1]), load_file(sys.argv[2]), sys.argv[3]
noise, actions = batch.pop("noise"), {}
for name, folder in folders.items():
    policy = SmolVLAPolicy.from_pretrained(folder, strict=True)
    actions[name] = policy.predict_action_chunk(dict(batch), noise).contiguous()
save_file(actions, out)
"""


class Runs(NamedTuple):
    """Saved checkpoints by objective, and actions: in memory after training, and as loaded.

    `resumed` are the checkpoints of runs that were stopped after one of two steps.
    """

    saved: dict[str, Path]
    resumed: dict[str, Path]
    trained: dict[str, Tensor]
    loaded: dict[str, Tensor]


@pytest.fixture(scope="module")
def runs(
    teacher_folder: Path,
    dataset_root: Path,
    tmp_path_factory: pytest.TempPathFactory,
) -> Runs:
    """Two runs per objective, one after the other in one process, and the checkpoint loaded."""
    folder = tmp_path_factory.mktemp("objectives")
    batch, loaded, load_all = folder / "batch", folder / "loaded", folder / "load_all.py"
    load_all.write_text(LOAD_ALL)
    noise = torch.randn(3, CHUNK, 8, generator=torch.Generator().manual_seed(0))
    save_file({**make_batch(), "noise": noise}, batch)
    arguments = {}
    for name in OBJECTIVES:
        arguments[name] = train_arguments(
            dataset_root,
            folder / name,
            "--policy.type=smolvla_reflow",
            f"--policy.teacher_model_path={teacher_folder}",
            f"--policy.objective={name}",
            "--policy.optimizer_lr=1e-3",
            "--save_freq=1",
            steps=2,
        )
        arguments[f"{name} again"] = resume_arguments(
            folder / name / "checkpoints/000001", folder / f"{name} again"
        )
    python(TRAIN_SEVERAL, json.dumps(arguments), folder, batch)
    saved = {name: folder / name / "checkpoints/000002/pretrained_model" for name in OBJECTIVES}
    resumed = {name: folder / f"{name} again/checkpoints/000002" for name in OBJECTIVES}
    folders = json.dumps({name: str(path) for name, path in saved.items()})
    python(WITHOUT_PLUGIN, load_all, folders, batch, loaded)
    return Runs(saved, resumed, load_file(folder / "actions.safetensors"), load_file(loaded))


@pytest.mark.parametrize("objective", OBJECTIVES)
def test_stock_lerobot_without_the_plugin_acts_as_the_student_did(
    objective: str, runs: Runs
) -> None:
    assert torch.equal(runs.loaded[objective], runs.trained[objective])


@pytest.mark.parametrize("objective", OBJECTIVES)
def test_a_resumed_run_ends_with_the_bytes_of_the_uninterrupted_one(
    objective: str, runs: Runs
) -> None:
    straight, resumed = runs.saved[objective].parent, runs.resumed[objective]
    average = ["reflow_student.safetensors"] if objective == "consistency" else []
    for name in ("optimizer_state.safetensors", *average):
        path = f"training_state/{name}"
        assert (resumed / path).read_bytes() == (straight / path).read_bytes(), name
    weights = "pretrained_model/model.safetensors"
    assert (resumed / weights).read_bytes() == (straight / weights).read_bytes()


@pytest.mark.parametrize("objective", OBJECTIVES)
def test_verify_finds_nothing_in_the_checkpoint_and_it_loads_and_acts(
    objective: str, runs: Runs
) -> None:
    folder = str(runs.saved[objective])
    found = {
        finding.code
        for finding in api.verify(folder).findings
        if finding.severity is not Severity.NOTE
    }
    assert found == TRUE_OF_THE_TOY
    assert problems(folder) == []  # what `ckpt verify --load` runs, in a process of its own


@pytest.mark.parametrize("objective", OBJECTIVES)
def test_only_the_runs_own_config_says_how_it_was_trained(
    objective: str, runs: Runs, teacher_folder: Path
) -> None:
    saved, teacher = (
        json.loads((folder / "config.json").read_text())
        for folder in (runs.saved[objective], teacher_folder)
    )
    made_for = teacher["num_steps"] if objective == "reflow" else 1
    assert saved == teacher | {"num_steps": made_for, "optimizer_lr": 1e-3}
    training = json.loads((runs.saved[objective] / "train_config.json").read_text())
    assert training["policy"]["objective"] == objective


def test_objectives_train_different_students(runs: Runs) -> None:
    actions = {runs.trained[objective].numpy().tobytes() for objective in OBJECTIVES}
    assert len(actions) == len(OBJECTIVES)
