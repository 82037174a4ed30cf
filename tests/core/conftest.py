"""Fixtures of the training core: a tiny VLM, dataset, teacher and students.

Each is made once per session in a temporary folder, offline and on the CPU.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

os.environ.setdefault("HF_HUB_OFFLINE", "1")  # read when huggingface_hub is imported

from lerobot.datasets.lerobot_dataset import LeRobotDataset
from lerobot_policy_smolvla_reflow.modeling_smolvla_reflow import SmolVLAReflowPolicy

from lerobot_policy_smolvla_reflow import SmolVLAReflowConfig
from tests.core.support import (
    ACTION_DIMS,
    CAMERA,
    JOINTS,
    STATE_DIMS,
    make_batch,
    save_teacher,
    smolvla_config,
    vlm_folder,
)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Allow warnings, which come from LeRobot, transformers and torch.

    Elsewhere in the project a warning is an error.
    """
    here = Path(__file__).parent
    for item in items:
        if here in item.path.parents:
            item.add_marker(pytest.mark.filterwarnings("default"))


@pytest.fixture(scope="session")
def tiny_vlm(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny SmolVLM folder with random weights."""
    made: Path = vlm_folder.make_vlm_folder(tmp_path_factory.mktemp("vlm") / "tiny")
    return made


@pytest.fixture(scope="session")
def dataset_root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A dataset of 2 episodes of 20 frames, one camera, six joints, noise throughout."""
    root = tmp_path_factory.mktemp("data") / "set"
    features = {
        CAMERA: {"dtype": "image", "shape": (64, 64, 3), "names": ["height", "width", "channels"]},
        "observation.state": {"dtype": "float32", "shape": (STATE_DIMS,), "names": JOINTS},
        "action": {"dtype": "float32", "shape": (ACTION_DIMS,), "names": JOINTS},
    }
    dataset = LeRobotDataset.create(
        "local/tiny", fps=10, features=features, root=root, use_videos=False
    )
    random = np.random.default_rng(0)
    for task in ("reach the cube", "push"):
        for _ in range(20):
            dataset.add_frame(
                {
                    CAMERA: random.integers(0, 255, (64, 64, 3), dtype=np.uint8),
                    "observation.state": random.normal(3, 2, STATE_DIMS).astype(np.float32),
                    "action": random.normal(-1, 4, ACTION_DIMS).astype(np.float32),
                    "task": task,
                }
            )
        dataset.save_episode()
    dataset.finalize()
    return root


@pytest.fixture(scope="session")
def teacher_folder(tiny_vlm: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A teacher's checkpoint."""
    return save_teacher(
        tmp_path_factory.mktemp("teacher") / "pretrained_model", smolvla_config(tiny_vlm)
    )


@pytest.fixture
def make_student(teacher_folder: Path) -> Callable[..., SmolVLAReflowPolicy]:
    """Make a student of `teacher_folder` (or of `teacher=`) with the given config fields."""

    def make(
        teacher: Path = teacher_folder, *, f32: bool = False, **fields: Any
    ) -> SmolVLAReflowPolicy:
        config = SmolVLAReflowConfig(
            teacher_model_path=str(teacher), device="cpu", push_to_hub=False, **fields
        )
        policy = SmolVLAReflowPolicy(config)
        return policy.float() if f32 else policy

    return make


@pytest.fixture
def batch() -> dict[str, torch.Tensor]:
    """A preprocessed batch of three rows, with padded instructions and actions."""
    return make_batch()
