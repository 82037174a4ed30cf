"""What tests against stock LeRobot share.

LeRobot's own answers, and one training run of two steps, each made once a session.

LeRobot is only ever run in a process of its own (tests/support/forked.py): it registers plugins,
and warns of much. Where it is not installed these tests fail; leave them out with
`-m "not lerobot"`.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.support import forked

HERE = Path(__file__).parent


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """A finished run of stock lerobot-train: its folder and what it printed."""

    folder: Path
    log: str

    def step(self, number: int) -> Path:
        """Return the checkpoint of that step."""
        return self.folder / "checkpoints" / f"{number:06}" / "pretrained_model"


@pytest.fixture(scope="session")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder in which everything is made."""
    return tmp_path_factory.mktemp("lerobot")


@pytest.fixture(scope="session")
def answers(workspace: Path) -> dict[str, Any]:
    """Return what ask_lerobot.py finds out; it leaves a tiny VLM and a dataset in the workspace."""
    return forked.answers(HERE / "ask_lerobot.py", workspace)


@pytest.fixture(scope="session")
def stock_run(workspace: Path, answers: dict[str, Any]) -> Run:
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
    options += ["--wandb.enable=false", f"--output_dir={folder}"]
    done = forked.python("-m", "lerobot.scripts.lerobot_train", *options)
    return Run(folder=folder, log=done.stdout + done.stderr)
