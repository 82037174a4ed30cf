"""Stock `lerobot-train` with every objective: what it saves is a normal SmolVLA's checkpoint."""

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
from tests.core.support import CHUNK, WITHOUT_PLUGIN, make_batch, python, train_arguments

pytestmark = pytest.mark.lerobot

TRUE_OF_THE_TOY = {"CK710"}  # its VLM is a folder of this machine

TRAIN_ALL = """
import json, sys, torch
from lerobot.scripts import lerobot_train
from safetensors.torch import load_file, save_file
torch.set_num_threads(1)
runs, batch, out = json.loads(sys.argv[1]), load_file(sys.argv[2]), sys.argv[3]
noise, actions, seen, inner = batch.pop("noise"), {}, {}, lerobot_train.update_policy

def update_policy(metrics, policy, *rest, **named):
    seen["policy"] = policy
    return inner(metrics, policy, *rest, **named)

lerobot_train.update_policy = update_policy
for name, sys.argv[1:] in runs.items():
    lerobot_train.main()
    policy = seen["policy"].eval()
    with policy._average.in_place_of(policy.named_parameters()):
        actions[name] = policy.predict_action_chunk(dict(batch), noise).contiguous()
save_file(actions, out)
"""

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
    """Saved checkpoints by objective, and actions: in memory after training, and as loaded."""

    saved: dict[str, Path]
    trained: dict[str, Tensor]
    loaded: dict[str, Tensor]


@pytest.fixture(scope="module")
def runs(
    teacher_folder: Path,
    dataset_root: Path,
    tmp_path_factory: pytest.TempPathFactory,
) -> Runs:
    """One run per objective, one after the other in one process, and its checkpoint loaded."""
    folder = tmp_path_factory.mktemp("objectives")
    batch, trained, loaded = (folder / f"{name}.safetensors" for name in ("batch", "a", "b"))
    train_all, load_all = folder / "train_all.py", folder / "load_all.py"
    train_all.write_text(TRAIN_ALL)
    load_all.write_text(LOAD_ALL)
    noise = torch.randn(3, CHUNK, 8, generator=torch.Generator().manual_seed(0))
    save_file({**make_batch(), "noise": noise}, batch)
    arguments = {
        name: train_arguments(
            dataset_root,
            folder / name,
            "--policy.type=smolvla_reflow",
            f"--policy.teacher_model_path={teacher_folder}",
            f"--policy.objective={name}",
            "--policy.optimizer_lr=1e-3",
            steps=1,
        )
        for name in OBJECTIVES
    }
    python(train_all, json.dumps(arguments), batch, trained)
    saved = {name: folder / name / "checkpoints/last/pretrained_model" for name in OBJECTIVES}
    folders = json.dumps({name: str(path) for name, path in saved.items()})
    python(WITHOUT_PLUGIN, load_all, folders, batch, loaded)
    return Runs(saved, load_file(trained), load_file(loaded))


@pytest.mark.parametrize("objective", OBJECTIVES)
def test_stock_lerobot_without_the_plugin_acts_as_the_student_did(
    objective: str, runs: Runs
) -> None:
    assert torch.equal(runs.loaded[objective], runs.trained[objective])


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
    assert len({actions.numpy().tobytes() for actions in runs.trained.values()}) == len(OBJECTIVES)
