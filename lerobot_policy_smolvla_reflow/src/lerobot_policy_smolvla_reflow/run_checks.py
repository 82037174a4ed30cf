"""What is checked once a run's dataset and surroundings are known, before any weight is loaded or trained. No model, no mathematics."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from lerobot_policy_smolvla_reflow.errors import ReflowError

if TYPE_CHECKING:
    from lerobot.policies.smolvla.configuration_smolvla import SmolVLAConfig

    from lerobot_policy_smolvla_reflow.configuration_smolvla_reflow import SmolVLAReflowConfig


def under_fsdp() -> bool:
    """True when `accelerate` will shard the policy with FSDP."""
    return os.environ.get("ACCELERATE_USE_FSDP", "false").lower() in ("true", "1")


def check_surroundings(config: SmolVLAReflowConfig) -> None:
    """Raises ReflowError for an option that FSDP's sharding would break."""
    if not under_fsdp():
        return
    if config.share_vlm:
        raise ReflowError(
            "share_vlm",
            "FSDP shards the student's VLM away from the teacher, which is outside its wrapper; leave share_vlm out.",
        )
    if config.ema_decay:
        raise ReflowError(
            "ema_decay",
            "an average of FSDP's shards cannot be saved by one process; train with DDP or leave ema_decay out.",
        )


def check_dataset_fits(config: SmolVLAReflowConfig, teacher: SmolVLAConfig) -> None:
    """Raises ReflowError when the dataset's action is not of the teacher's size, or one of the two has no action at all."""
    theirs, ours = teacher.action_feature, config.action_feature
    if theirs is None:
        raise ReflowError(
            "teacher_model_path",
            f"{config.teacher_model_path}/config.json names no action in output_features; pass a trained checkpoint.",
        )
    if ours is None:
        config.output_features = dict(teacher.output_features or {})
    elif tuple(ours.shape) != tuple(theirs.shape):
        raise ReflowError(
            "teacher_model_path",
            f"the teacher acts in {theirs.shape[0]} dimensions and the dataset's action has {ours.shape[0]}; "
            "pass a teacher trained on this robot, or the dataset it was trained on.",
        )
