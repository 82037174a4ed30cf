"""Checks that need the run's dataset and process environment, before any weight is trained.

No model, no mathematics.
"""

from __future__ import annotations

import os

from lerobot.policies.smolvla.configuration_smolvla import SmolVLAConfig

from lerobot_policy_smolvla_reflow.configuration_smolvla_reflow import SmolVLAReflowConfig
from lerobot_policy_smolvla_reflow.errors import ReflowError


def under_fsdp() -> bool:
    """True when `accelerate` will shard the policy with FSDP."""
    return os.environ.get("ACCELERATE_USE_FSDP", "false").lower() in ("true", "1")


def check_environment(config: SmolVLAReflowConfig) -> None:
    """Raise ReflowError for an option that does not work under FSDP, when the run uses it."""
    if under_fsdp() and config.share_vlm:
        raise ReflowError(
            "share_vlm",
            "not supported under FSDP, which shards the student's VLM but not the teacher; remove "
            "share_vlm.",
        )
    if under_fsdp() and config.ema_decay:
        raise ReflowError(
            "ema_decay",
            "not supported under FSDP: one process cannot save an average of shards; train with "
            + (
                f"DDP, or with another objective than {config.objective}, which needs it."
                if config.trains_with.average_decay
                else "DDP or remove ema_decay."
            ),
        )


def check_actions(config: SmolVLAReflowConfig, teacher: SmolVLAConfig) -> None:
    """Raise ReflowError when the teacher's actions have another size than the dataset's, or none.

    Without an action feature in `config`, the teacher's output features are adopted.
    """
    taught, own = teacher.action_feature, config.action_feature
    if taught is None:
        raise ReflowError(
            "teacher_model_path",
            f"{config.teacher_model_path}/config.json has no action in output_features; pass a "
            "trained checkpoint.",
        )
    if own is None:
        config.output_features = dict(teacher.output_features or {})
    elif tuple(own.shape) != tuple(taught.shape):
        raise ReflowError(
            "teacher_model_path",
            f"the teacher's actions have {taught.shape[0]} dimensions, but the dataset's have "
            f"{own.shape[0]}; "
            "pass a teacher trained on this robot, or the dataset it was trained on.",
        )
