"""Tiny configs, teachers and batches, and LeRobot's commands in a subprocess.

The fixtures are in conftest.py.
"""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import torch

os.environ.setdefault("HF_HUB_OFFLINE", "1")
sys.argv[1:] = []  # the plugin and LeRobot's parser read the command line; pytest's is not for them

from lerobot.configs.types import FeatureType, PolicyFeature
from lerobot.policies.factory import make_pre_post_processors
from lerobot.policies.smolvla.configuration_smolvla import SmolVLAConfig
from lerobot.policies.smolvla.modeling_smolvla import SmolVLAPolicy
from lerobot_policy_smolvla_reflow.pairs import (
    FORMAT,
    MANIFEST_NAME,
    PairsManifest,
    shard_path,
    weights_sha256,
)
from safetensors.torch import save_file
from torch import Tensor

from tests.support import forked

torch.set_num_threads(1)  # tiny tensors: a second thread only waits

ROOT = Path(__file__).resolve().parents[2]
ACTION_DIMS, STATE_DIMS, CHUNK = 6, 6, 10
CAMERA = "observation.images.top"
JOINTS = [f"joint_{number}" for number in range(ACTION_DIMS)]

_spec = importlib.util.spec_from_file_location(
    "vlm_folder", ROOT / "examples/quickstart/vlm_folder.py"
)
assert _spec is not None
assert _spec.loader is not None
vlm_folder = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(vlm_folder)


def smolvla_config(vlm: Path, **changes: Any) -> SmolVLAConfig:
    """The config of a tiny SmolVLA with one camera."""
    settings: dict[str, Any] = {
        "vlm_model_name": str(vlm), "load_vlm_weights": True, "num_vlm_layers": 4,
        "chunk_size": CHUNK, "n_action_steps": CHUNK,
        "max_action_dim": 8, "max_state_dim": 8, "resize_imgs_with_padding": (64, 64),
        "device": "cpu", "push_to_hub": False,
        "input_features": {
            CAMERA: PolicyFeature(type=FeatureType.VISUAL, shape=(3, 64, 64)),
            "observation.state": PolicyFeature(type=FeatureType.STATE, shape=(STATE_DIMS,)),
        },
        "output_features": {"action": PolicyFeature(type=FeatureType.ACTION, shape=(ACTION_DIMS,))},
    }  # fmt: skip
    return SmolVLAConfig(**(settings | changes))


def save_teacher(folder: Path, config: SmolVLAConfig) -> Path:
    """Save a random SmolVLA with processors.

    Its paths bend enough for one step and ten to differ.
    """
    torch.manual_seed(1)
    policy = SmolVLAPolicy(config)
    with torch.no_grad():
        policy.model.action_out_proj.weight.mul_(6)
    policy.save_pretrained(folder)
    stats = {
        name: {"mean": torch.full((6,), 2.0), "std": torch.full((6,), 3.0)}
        for name in ("action", "observation.state")
    }
    for processor in make_pre_post_processors(config, dataset_stats=stats):
        processor.save_pretrained(folder)
    return folder


def make_batch(
    rows: int = 3, cameras: tuple[str, ...] = (CAMERA,), action_dims: int = ACTION_DIMS
) -> dict[str, torch.Tensor]:
    """A preprocessed batch, the same at every call."""
    random = torch.Generator().manual_seed(7)
    language = torch.ones(rows, 9, dtype=torch.bool)
    language[1:, 6:] = False
    is_pad = torch.zeros(rows, CHUNK, dtype=torch.bool)
    is_pad[-1, 4:] = True
    images = {camera: torch.rand(rows, 3, 64, 64, generator=random) for camera in cameras}
    return images | {
        "observation.state": torch.randn(rows, action_dims, generator=random),
        "observation.language.tokens": torch.randint(8, 250, (rows, 9), generator=random),
        "observation.language.attention_mask": language,
        "action": torch.randn(rows, CHUNK, action_dims, generator=random),
        "action_is_pad": is_pad,
        "index": torch.arange(rows),
    }


TWO_RANKS = Path(__file__).with_name("two_ranks.py")
"""The script in front of a program that is to run in two processes of one group."""


def store_pairs(folder: Path, teacher: Path, *, frames: int, draws: int) -> Tensor:
    """Make a folder of pairs with random end points, and return them (frames, draws, T, A)."""
    manifest = PairsManifest(
        format=FORMAT, teacher_sha256=weights_sha256(str(teacher), None), dataset_frames=frames,
        steps=10, solver="euler", seed=0, draws=draws, chunk_size=CHUNK, max_action_dim=8,
        shard_frames=frames,
    )  # fmt: skip
    folder.mkdir()
    (folder / MANIFEST_NAME).write_text(manifest.to_json())
    z1 = torch.stack([manifest.noise_of(frame) for frame in range(frames)])
    z0 = torch.randn(z1.shape, generator=torch.Generator().manual_seed(5))
    save_file({"z1": z1, "z0": z0}, shard_path(folder, 0))
    return z0


FSDP_ON_CPU = Path(__file__).with_name("fsdp_on_cpu.py")
"""The script in front of a program that is to train under FSDP in a group of CPU processes."""

TRAIN_SEVERAL = Path(__file__).with_name("train_several.py")
"""Stock `lerobot-train`, several times in one process, and what is told of each run."""

WITH_TOY_WORLD = Path(__file__).with_name("with_toy_world.py")
"""The script in front of a module of LeRobot that is to import toy_world."""

WITHOUT_PLUGIN = Path(__file__).with_name("without_plugin.py")
"""The script in front of a program to which the plugin and ckpt_tools are not installed."""


def python(
    *arguments: object, env: dict[str, str] | None = None, check: bool = True
) -> subprocess.CompletedProcess[str]:
    """Run Python and capture its output.

    With `check`, a failure fails the test and shows the output. Environment variables are read by
    what LeRobot imports: with any, nothing is imported before.
    """
    if env is None:
        return forked.python(*arguments, check=check)
    done = subprocess.run(
        [sys.executable, *map(str, arguments)],
        env=os.environ | forked.OFFLINE | env,
        capture_output=True,
        text=True,
        timeout=forked.SECONDS,
        check=False,
    )
    return forked.checked(done) if check else done


def python_path(folder: Path) -> dict[str, str]:
    """An environment in which Python also imports from `folder`, before anything else."""
    return {"PYTHONPATH": os.pathsep.join((str(folder), os.environ.get("PYTHONPATH", "")))}


def train_arguments(dataset: Path, out: Path, *more: str, steps: int = 4) -> list[str]:
    """The arguments of a short offline `lerobot-train` run on the CPU."""
    return [
        "--policy.push_to_hub=false", "--policy.device=cpu", "--dataset.repo_id=local/tiny",
        f"--dataset.root={dataset}",
        f"--steps={steps}", "--batch_size=4", "--save_freq=2", "--log_freq=1", "--num_workers=0",
        "--wandb.enable=false",
        f"--output_dir={out}", *more,
    ]  # fmt: skip


def lerobot_train(
    *arguments: str, env: dict[str, str] | None = None, check: bool = True
) -> subprocess.CompletedProcess[str]:
    """Run stock `lerobot-train`."""
    return python("-m", "lerobot.scripts.lerobot_train", *arguments, env=env, check=check)


def resume_arguments(checkpoint: Path, out: Path) -> list[str]:
    """The arguments of a run that continues from a training checkpoint in another folder."""
    config = checkpoint / "pretrained_model/train_config.json"
    return [f"--config_path={config}", "--resume=true", f"--output_dir={out}"]
