"""The teacher: a frozen policy outside the student's module tree, and the copy of its weights.

Knows no objective.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping

import torch
from lerobot.policies.smolvla.modeling_smolvla import SmolVLAPolicy
from torch import Tensor

from lerobot_policy_smolvla_reflow.errors import ReflowError
from lerobot_policy_smolvla_reflow.loading import load_policy

VLM_PREFIX = "model.vlm_with_expert.vlm."


class Teacher:
    """A frozen SmolVLA policy in eval mode, and the dtypes that its checkpoint stores.

    Not an `nn.Module`: a policy that has a teacher has none of it in its `state_dict`, parameters,
    optimizer, DDP or FSDP wrapper. Copying a policy does not copy its teacher.
    """

    def __init__(self, policy: SmolVLAPolicy, stored_dtypes: Mapping[str, torch.dtype]) -> None:
        self.policy = policy.requires_grad_(False).eval()
        self.stored_dtypes = stored_dtypes

    def __deepcopy__(self, memo: dict[int, object]) -> Teacher:
        """The same object: a copied policy shares its teacher."""
        return self


def load_teacher(path: str, revision: str | None, vlm_model_name: str | None = None) -> Teacher:
    """Load the teacher of a checkpoint folder or Hub repository.

    Raises ReflowError as `load_policy` does.
    """
    logging.info("[Reflow] Loading teacher model from %s", path)
    return Teacher(*load_policy(path, revision, vlm_model_name))


def copy_weights(teacher: Teacher, student: SmolVLAPolicy, *, share_vlm: bool) -> None:
    """Load the teacher's weights into `student` (built empty), in the student's dtypes.

    With `share_vlm` the VLM is not copied: both use one module and one storage. Raises ReflowError
    when they would run it in different dtypes.
    """
    expected = student.state_dict()
    copies: dict[str, Tensor] = {}
    for name, tensor in teacher.policy.state_dict().items():
        shared = share_vlm and name.startswith(VLM_PREFIX)
        if shared and tensor.dtype != expected[name].dtype:
            raise ReflowError(
                "share_vlm",
                "the teacher was built with load_vlm_weights=false and runs its VLM in F32, but "
                "the saved student will run it in BF16; remove share_vlm.",
            )
        copies[name] = tensor if shared else tensor.to(expected[name].dtype, copy=True)
    student.load_state_dict(copies, strict=True, assign=True)
    if share_vlm:
        teacher.policy.model.vlm_with_expert.vlm = student.model.vlm_with_expert.vlm
