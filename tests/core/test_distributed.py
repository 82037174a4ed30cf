"""Two CPU processes with DDP and FSDP, for every objective: clean checkpoints, an exact resume.

One group of processes trains all of them, one after the other.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import torch
from lerobot.policies.smolvla.modeling_smolvla import SmolVLAPolicy
from lerobot_policy_smolvla_reflow.objectives import OBJECTIVES
from safetensors.torch import load_file
from torch import Tensor

from tests.core.support import (
    FSDP_ON_CPU,
    TRAIN_SEVERAL,
    TWO_RANKS,
    resume_arguments,
    store_pairs,
    train_arguments,
)
from tests.support import forked

LAST = "checkpoints/last/pretrained_model"
TEACHER_POSITIVES = ("--policy.positives=teacher", "--policy.samples=2")
PAIRS = "--policy.pairs_path={pairs}"
OPTIONS = {
    "reflow": ("--policy.mix_real_data=0.3",),
    "grid": (PAIRS,),
    "drift": (*TEACHER_POSITIVES, PAIRS),
    "imle": (*TEACHER_POSITIVES, "--policy.teacher_num_steps=2"),
}
SHARDED = [name for name in OBJECTIVES if name != "consistency"]
"""Objectives without a weight average, which FSDP does not allow."""

RESUMED = ("reflow", "drift")
"""Objectives that are stopped after one of two steps; the others train for one."""

pytestmark = pytest.mark.lerobot


class Runs(NamedTuple):
    """The folders of runs by objective, what each rank told, and the log."""

    folders: dict[str, Path]
    told: list[dict[str, dict[str, Any]]]
    log: str

    def weights(self, name: str) -> dict[str, Tensor]:
        """The saved weights of a run."""
        return load_file(self.folders[name] / LAST / "model.safetensors")


def train_all(runs: dict[str, list[str]], folder: Path, *launcher: Path) -> Runs:
    """Train in two processes of one group."""
    libraries = forked.libraries()
    done = libraries.run(TWO_RANKS, *launcher, TRAIN_SEVERAL, json.dumps(runs), folder)
    forked.checked(done)
    told = [json.loads((folder / f"{rank}.json").read_text()) for rank in (0, 1)]
    return Runs({name: folder / name for name in runs}, told, done.stdout + done.stderr)


def arguments(
    name: str, teacher: Path, dataset: Path, folder: Path, pairs: Path, *more: str
) -> list[str]:
    """The arguments of a short run that saves every step."""
    given = (option.format(pairs=pairs) for option in OPTIONS.get(name, ()))
    return train_arguments(
        dataset, folder / name, "--policy.type=smolvla_reflow", "--save_freq=1",
        f"--policy.teacher_model_path={teacher}", f"--policy.objective={name}", *given, *more,
        steps=1 + (name in RESUMED),
    )  # fmt: skip


@pytest.fixture(scope="module")
def pairs(teacher_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Stored pairs of the dataset's 40 frames."""
    folder = tmp_path_factory.mktemp("stored") / "pairs"
    store_pairs(folder, teacher_folder, frames=40, draws=2)
    return folder


@pytest.fixture(scope="module")
def ddp(
    teacher_folder: Path, dataset_root: Path, pairs: Path, tmp_path_factory: pytest.TempPathFactory
) -> Runs:
    """A run of every objective under DDP; that of reflow with a weight average."""
    folder = tmp_path_factory.mktemp("ddp")
    more = {"reflow": ("--policy.ema_decay=0.9",)}
    runs = {
        name: arguments(name, teacher_folder, dataset_root, folder, pairs, *more.get(name, ()))
        for name in OBJECTIVES
    }
    return train_all(runs, folder)


@pytest.fixture(scope="module")
def fsdp(
    teacher_folder: Path, dataset_root: Path, pairs: Path, tmp_path_factory: pytest.TempPathFactory
) -> Runs:
    """A run of every objective under FSDP that can; some are stopped after a step and resumed."""
    folder = tmp_path_factory.mktemp("fsdp")
    runs = {name: arguments(name, teacher_folder, dataset_root, folder, pairs) for name in SHARDED}
    for name in RESUMED:
        again = f"{name} again"
        runs[again] = resume_arguments(folder / name / "checkpoints/000001", folder / again)
    return train_all(runs, folder, FSDP_ON_CPU)


@pytest.mark.parametrize("objective", OBJECTIVES)
def test_two_processes_train_one_student(objective: str, ddp: Runs) -> None:
    first, second = (told[objective] for told in ddp.told)
    assert first["kind"] == "DistributedDataParallel"
    assert first["weights"] == second["weights"]
    assert len(first["noise"]) == 1 + (objective in RESUMED)
    assert not set(first["noise"]) & set(second["noise"])


def test_what_two_processes_save_is_a_normal_checkpoint(ddp: Runs, teacher_folder: Path) -> None:
    before = load_file(teacher_folder / "model.safetensors")
    for objective in OBJECTIVES:
        moved = moved_tensors(before, ddp.weights(objective))
        assert moved, objective
        assert not any(".vlm." in name for name in moved)
    SmolVLAPolicy.from_pretrained(ddp.folders["drift"] / LAST, strict=True)
    config = json.loads((ddp.folders["drift"] / LAST / "config.json").read_text())
    assert config["type"] == "smolvla"


def moved_tensors(before: dict[str, Tensor], after: dict[str, Tensor]) -> set[str]:
    """The names of tensors with other values; all have the same names, dtypes and shapes."""
    assert {name: (tensor.dtype, tensor.shape) for name, tensor in after.items()} == {
        name: (tensor.dtype, tensor.shape) for name, tensor in before.items()
    }
    return {name for name in before if not torch.equal(before[name], after[name])}


@pytest.mark.parametrize("objective", SHARDED)
def test_under_fsdp_the_checkpoint_has_the_teachers_dtypes(
    objective: str, fsdp: Runs, teacher_folder: Path
) -> None:
    assert fsdp.told[0][objective]["kind"] == "FullyShardedDataParallel"
    moved = moved_tensors(load_file(teacher_folder / "model.safetensors"), fsdp.weights(objective))
    assert moved
    assert not any(".vlm." in name for name in moved)
    SmolVLAPolicy.from_pretrained(fsdp.folders[objective] / LAST, strict=True)


def test_under_fsdp_prefixes_are_separate(fsdp: Runs) -> None:
    assert "Student and teacher run the prefix separately" in fsdp.log


@pytest.mark.parametrize("objective", RESUMED)
def test_a_resume_under_fsdp_is_exact(objective: str, fsdp: Runs) -> None:
    straight, again = (
        (fsdp.folders[name] / LAST / "model.safetensors").read_bytes()
        for name in (objective, f"{objective} again")
    )
    assert again == straight
