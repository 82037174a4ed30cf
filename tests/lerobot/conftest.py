"""What tests against stock LeRobot share.

An offline environment, LeRobot's own answers, and one training run of two steps, each made once a
session.

LeRobot is only ever run in a subprocess: it takes seconds to import, registers plugins, and warns
of much. Where it is not installed these tests fail; leave them out with `-m "not lerobot"`.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

HERE = Path(__file__).parent
BIN = Path(sys.executable).parent
SECONDS = 300
"""Far more than any of these commands takes; none may hang."""

type Answers = dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """A finished run of stock lerobot-train: its folder and what it printed."""

    folder: Path
    log: str

    def step(self, number: int) -> Path:
        """Return the checkpoint of that step."""
        return self.folder / "checkpoints" / f"{number:06}" / "pretrained_model"


def _run(command: list[str], environment: dict[str, str]) -> str:
    done = subprocess.run(
        command, capture_output=True, text=True, timeout=SECONDS, env=environment, check=False
    )
    assert done.returncode == 0, (
        f"{command[0]} failed; is the `train` extra installed?\n{done.stderr[-3000:]}"
    )
    return done.stdout + done.stderr


@pytest.fixture(scope="session")
def offline(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Return an environment without network, with caches of its own, on the CPU."""
    home = tmp_path_factory.mktemp("hf")
    own = {
        "HF_HUB_OFFLINE": "1",
        "HF_HOME": str(home),
        "HF_LEROBOT_HOME": str(home / "lerobot"),
        "CUDA_VISIBLE_DEVICES": "",
        "TOKENIZERS_PARALLELISM": "false",
    }
    return {**os.environ, **own, "WANDB_MODE": "disabled", "OMP_NUM_THREADS": "2"}


@pytest.fixture(scope="session")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder in which everything is made."""
    return tmp_path_factory.mktemp("lerobot")


@pytest.fixture(scope="session")
def answers(workspace: Path, offline: dict[str, str]) -> Answers:
    """Return what ask_lerobot.py finds out; it leaves a tiny VLM and a dataset in the workspace."""
    _run([sys.executable, str(HERE / "ask_lerobot.py"), str(workspace)], offline)
    found: Answers = json.loads((workspace / "answers.json").read_text(encoding="utf-8"))
    return found


@pytest.fixture(scope="session")
def stock_run(workspace: Path, offline: dict[str, str], answers: Answers) -> Run:
    """Return what `lerobot-train --policy.type=smolvla` leaves after two steps.

    It saves a checkpoint at each.
    """
    assert answers["dataset"] == str(workspace / "dataset")
    folder = workspace / "run"
    policy = {
        "type": "smolvla",
        "vlm_model_name": workspace / "vlm",
        "load_vlm_weights": "true",
        "num_vlm_layers": 4,
    }
    policy |= {"resize_imgs_with_padding": "[32,32]", "push_to_hub": "false", "device": "cpu"}
    options = [f"--policy.{key}={value}" for key, value in policy.items()]
    options += [
        "--dataset.repo_id=local/tiny",
        f"--dataset.root={answers['dataset']}",
        "--steps=2",
        "--save_freq=1",
        "--batch_size=2",
        "--num_workers=0",
    ]
    log = _run(
        [str(BIN / "lerobot-train"), *options, "--wandb.enable=false", f"--output_dir={folder}"],
        offline,
    )
    return Run(folder=folder, log=log)
