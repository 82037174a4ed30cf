"""The student's processors: the teacher's own, with the teacher's statistics.

The dataset's statistics are not used. The student imitates its teacher in the teacher's normalized
space, so other statistics would change the meaning of every action.
"""

from __future__ import annotations

from typing import Any

import torch
from lerobot.policies.factory import make_pre_post_processors
from lerobot.processor import PolicyAction, PolicyProcessorPipeline
from lerobot.utils.constants import (
    POLICY_POSTPROCESSOR_DEFAULT_NAME,
    POLICY_PREPROCESSOR_DEFAULT_NAME,
)

from lerobot_policy_smolvla_reflow.configuration_smolvla_reflow import SmolVLAReflowConfig
from lerobot_policy_smolvla_reflow.errors import ReflowError
from lerobot_policy_smolvla_reflow.teacher_config import teacher_file


def make_smolvla_reflow_pre_post_processors(
    config: SmolVLAReflowConfig,
    dataset_stats: dict[str, dict[str, torch.Tensor]] | None = None,  # noqa: ARG001 - LeRobot passes it by name; see the module's docstring
) -> tuple[
    PolicyProcessorPipeline[dict[str, Any], dict[str, Any]],
    PolicyProcessorPipeline[PolicyAction, PolicyAction],
]:
    """The teacher's pre- and postprocessor, on the student's device.

    Raises ReflowError when the teacher's checkpoint has no processor files.
    """
    path, revision = str(config.teacher_model_path), config.teacher_revision
    for name in (POLICY_PREPROCESSOR_DEFAULT_NAME, POLICY_POSTPROCESSOR_DEFAULT_NAME):
        try:
            teacher_file(path, revision, f"{name}.json")
        except ReflowError as error:
            raise ReflowError(
                "teacher_model_path",
                f"{path} has no {name}.json, so its normalization statistics are unknown; pass a "
                "checkpoint saved by lerobot-train, or "
                "migrate an old one with lerobot's migrate_policy_normalization.",
            ) from error
    return make_pre_post_processors(
        config,
        pretrained_path=path,
        pretrained_revision=revision,
        preprocessor_overrides={"device_processor": {"device": config.device}},
    )
