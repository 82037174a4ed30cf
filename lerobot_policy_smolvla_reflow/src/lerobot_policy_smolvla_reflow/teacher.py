"""Loads the teacher once, freezes it, and holds it outside the student's module tree.

Knows weights and models, not objectives.

A model is built without memory for its parameters and then given the checkpoint's tensors, so that
no weight is drawn at random only to be overwritten and the base VLM is never read: the teacher's
checkpoint holds all of it.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from pathlib import Path

import torch
from accelerate import init_empty_weights
from lerobot.policies.smolvla.configuration_smolvla import SmolVLAConfig
from lerobot.policies.smolvla.modeling_smolvla import SmolVLAPolicy, VLAFlowMatching
from safetensors import SafetensorError, safe_open
from torch import Tensor, nn

from lerobot_policy_smolvla_reflow.errors import ReflowError
from lerobot_policy_smolvla_reflow.teacher_config import read_teacher_config, teacher_file

WEIGHTS_NAME = "model.safetensors"
VLM_PREFIX = "model.vlm_with_expert.vlm."


class Teacher:
    """A frozen SmolVLA policy in eval mode, and the dtypes its checkpoint stores.

    Not an `nn.Module`, so a policy that holds one has none of it in its `state_dict`, parameters,
    optimizer, DDP or FSDP wrapper. Copying a policy does not copy its teacher.
    """

    def __init__(self, policy: SmolVLAPolicy, profile: Mapping[str, torch.dtype]) -> None:
        self.policy = policy.requires_grad_(False).eval()
        self.profile = dict(profile)

    @property
    def config(self) -> SmolVLAConfig:
        """The teacher's own config."""
        return self.policy.config

    @property
    def model(self) -> VLAFlowMatching:
        """The teacher's flow-matching model."""
        return self.policy.model

    def apply(self, convert: Callable[[Tensor], Tensor]) -> None:
        """Converts every parameter and buffer in place, as `nn.Module.to` does, so that the teacher follows its student to a device."""
        self.policy._apply(convert)

    def share_vlm(self, student: VLAFlowMatching) -> None:
        """Drops the teacher's VLM for the student's, one module and one storage from here on.

        Both must hold equal weights.
        """
        self.model.vlm_with_expert.vlm = student.vlm_with_expert.vlm

    def __deepcopy__(self, memo: dict[int, object]) -> Teacher:
        """The very same teacher: a copied policy keeps it and no second one comes to be."""
        return self


def load_teacher(path: str, revision: str | None, vlm_model_name: str | None = None) -> Teacher:
    """The teacher of a checkpoint folder or Hub repository, on the CPU, as stock LeRobot would run it.

    `vlm_model_name` says where the VLM's config and tokenizer lie when that is not where the
    checkpoint says. Raises ReflowError when they are not there, and when the checkpoint is
    incomplete, holds tensors that are not a SmolVLA's, or holds NaN or infinity.
    """
    config = read_teacher_config(path, revision)
    config.vlm_model_name = vlm_model_name or config.vlm_model_name
    logging.info("[Reflow] Loading teacher model from %s", path)
    # A compiled or RTC-guided teacher would not give the plain ODE.
    config.compile_model, config.rtc_config, config.use_cache, config.device = (
        False,
        None,
        True,
        "cpu",
    )
    try:
        policy = build_empty(config, lambda: SmolVLAPolicy(config))
    except (
        OSError
    ) as error:  # what transformers raises for a model folder or repository it cannot read
        raise ReflowError(
            "vlm_model_name",
            f"the config, tokenizer and processor of {config.vlm_model_name} cannot be read ({str(error).splitlines()[0]}); "
            "pass --policy.vlm_model_name=<folder or Hub repository of the VLM the teacher was built on>.",
        ) from error
    profile = _fill(policy, path, teacher_file(path, revision, WEIGHTS_NAME))
    return Teacher(policy, profile)


def build_empty[M: nn.Module](config: SmolVLAConfig, make: Callable[[], M]) -> M:
    """The module `make` builds, its parameters on the meta device in the dtypes stock LeRobot builds for `config.load_vlm_weights`.

    Buffers are real. `config` is left as it was.
    """
    loads_vlm = config.load_vlm_weights
    config.load_vlm_weights = False
    try:
        with init_empty_weights(include_buffers=False):
            module = make()
    finally:
        config.load_vlm_weights = loads_vlm
    if loads_vlm:
        model = module if isinstance(module, VLAFlowMatching) else module.get_submodule("model")
        for parameter in model.get_submodule("vlm_with_expert.vlm").parameters():
            # What LeRobot reads as a pretrained VLM is BF16 throughout; one built from its config
            # alone is partly F32.
            parameter.data = parameter.data.to(torch.bfloat16)
    return module


def _fill(policy: SmolVLAPolicy, path: str, file: Path) -> dict[str, torch.dtype]:
    """Gives `policy` the tensors of `file`, one at a time; returns the dtypes the file stores."""
    expected = policy.state_dict()
    tensors: dict[str, Tensor] = {}
    profile: dict[str, torch.dtype] = {}
    try:
        with safe_open(file, framework="pt", device="cpu") as stored:
            _check_names(path, expected.keys(), stored.keys())
            for name in stored.keys():  # noqa: SIM118 - safe_open has keys() and cannot be iterated
                tensor = stored.get_tensor(name)
                _check_tensor(path, name, tensor, expected[name], policy.config)
                profile[name] = tensor.dtype
                tensors[name] = tensor.to(expected[name].dtype)
    except SafetensorError as error:
        raise ReflowError(
            "teacher_model_path",
            f"{file} is not a safetensors file ({error}); pass an intact checkpoint.",
        ) from error
    policy.load_state_dict(tensors, strict=True, assign=True)
    return profile


def _check_names(path: str, expected: object, stored: object) -> None:
    missing, extra = sorted(set(expected) - set(stored)), sorted(set(stored) - set(expected))  # type: ignore[call-overload]  # two kinds of key views
    if extra:
        raise ReflowError(
            "teacher_model_path",
            f"{path} holds {len(extra)} tensors that are not a SmolVLA's, such as {extra[0]}"
            f"{' (a teacher inside the teacher)' if 'teacher' in extra[0] else ''}; run `ckpt sanitize {path}` and pass the folder it writes.",
        )
    if missing:
        raise ReflowError(
            "teacher_model_path",
            f"{path} lacks {len(missing)} of {len(missing) + len(set(stored))} tensors, such as {missing[0]}; "  # type: ignore[call-overload]  # as above
            "pass a whole checkpoint: one saved with a shared VLM or as an adapter cannot be a teacher.",
        )


def _check_tensor(
    path: str, name: str, tensor: Tensor, expected: Tensor, config: SmolVLAConfig
) -> None:
    if tensor.shape != expected.shape:
        raise ReflowError(
            "vlm_model_name",
            f"{config.vlm_model_name} with the teacher's config gives {name} the shape {list(expected.shape)}, but {path} holds "
            f"{list(tensor.shape)}; pass the VLM the teacher was built on.",
        )
    if not all_finite(tensor):
        raise ReflowError(
            "teacher_model_path",
            f"{path} holds NaN or infinity in {name}; pass a checkpoint from before its training diverged.",
        )


def all_finite(tensor: Tensor) -> bool:
    """True when the tensor holds neither NaN nor infinity.

    Its extremes tell: a NaN anywhere makes them NaN, and they are 20 times cheaper than a mask.
    """
    return tensor.numel() == 0 or all(bool(torch.isfinite(extreme)) for extreme in tensor.aminmax())


def copy_of_teacher(teacher: Teacher, student: nn.Module, *, share_vlm: bool) -> None:
    """Gives `student` (built empty) the teacher's weights by `load_state_dict`, in the student's dtypes; with `share_vlm`, one VLM for both.

    Raises ReflowError when the VLM is to be shared and the two would run it in different dtypes.
    """
    wanted = student.state_dict()
    copies: dict[str, Tensor] = {}
    for name, tensor in teacher.policy.state_dict().items():
        shared = share_vlm and name.startswith(VLM_PREFIX)
        if shared and tensor.dtype != wanted[name].dtype:
            raise ReflowError(
                "share_vlm",
                "the teacher was built with load_vlm_weights=false and runs its VLM in F32, while the saved student will run it in BF16; leave share_vlm out.",
            )
        copies[name] = tensor if shared else tensor.to(wanted[name].dtype, copy=True)
    student.load_state_dict(copies, strict=True, assign=True)
