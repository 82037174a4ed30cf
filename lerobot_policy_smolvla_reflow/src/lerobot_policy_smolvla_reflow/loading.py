"""Build a SmolVLA policy from any checkpoint, without random weights and without the base VLM's.

Knows models, not reflow. A model is built without memory for its parameters and then given the
checkpoint's tensors: no weight is drawn at random only to be overwritten, and the base VLM is never
read, since the checkpoint contains all of it.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import torch
from accelerate import init_empty_weights
from lerobot.policies.smolvla.configuration_smolvla import SmolVLAConfig
from lerobot.policies.smolvla.modeling_smolvla import SmolVLAPolicy, VLAFlowMatching
from safetensors import SafetensorError, safe_open
from torch import Tensor, nn

from lerobot_policy_smolvla_reflow.errors import NotFiniteError, ReflowError
from lerobot_policy_smolvla_reflow.teacher_config import read_teacher_config, teacher_file

WEIGHTS_NAME = "model.safetensors"


def load_policy(
    path: str, revision: str | None = None, vlm_model_name: str | None = None
) -> tuple[SmolVLAPolicy, dict[str, torch.dtype]]:
    """Load a checkpoint folder or Hub repository: (policy, the dtypes that it stores).

    The policy is on the CPU in eval mode, as stock LeRobot would run it, but neither compiled nor
    guided by RTC, whatever its config says: neither gives the plain ODE. `vlm_model_name` replaces
    the checkpoint's own path to the VLM's config and tokenizer. Raises ReflowError when a file is
    missing, and when the checkpoint is incomplete, has unexpected tensors, or holds NaN or
    infinity.
    """
    config = read_teacher_config(path, revision)
    config.vlm_model_name = vlm_model_name or config.vlm_model_name
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
    ) as error:  # transformers raises it for a model folder or repository that it cannot read
        raise ReflowError(
            "vlm_model_name",
            f"the config, tokenizer and processor of {config.vlm_model_name} cannot be read "
            f"({str(error).splitlines()[0]}); "
            "pass --policy.vlm_model_name=<folder or Hub repository of the VLM the teacher was "
            "built on>.",
        ) from error
    return policy.eval(), _fill(policy, path, teacher_file(path, revision, WEIGHTS_NAME))


def build_empty[M: nn.Module](config: SmolVLAConfig, make: Callable[[], M]) -> M:
    """The module that `make` builds, with its parameters on the meta device.

    Dtypes are those that stock LeRobot builds for `config`. Buffers are real. `config` is not
    changed.
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
            # LeRobot loads a pretrained VLM in BF16; one built from its config alone is partly F32.
            parameter.data = parameter.data.to(torch.bfloat16)
    return module


def _fill(policy: SmolVLAPolicy, path: str, file: Path) -> dict[str, torch.dtype]:
    """Load the tensors of `file` into `policy`, one at a time. Returns the stored dtypes."""
    expected = policy.state_dict()
    tensors: dict[str, Tensor] = {}
    stored_dtypes: dict[str, torch.dtype] = {}
    try:
        with safe_open(file, framework="pt", device="cpu") as stored:
            names = stored.keys()
            _check_names(path, set(expected), set(names))
            for name in names:
                tensor = stored.get_tensor(name)
                _check_tensor(path, name, tensor, expected[name], policy.config)
                stored_dtypes[name] = tensor.dtype
                tensors[name] = tensor.to(expected[name].dtype)
    except SafetensorError as error:
        raise ReflowError(
            "teacher_model_path",
            f"{file} is not a safetensors file ({error}); pass an intact checkpoint.",
        ) from error
    policy.load_state_dict(tensors, strict=True, assign=True)
    return stored_dtypes


def _check_names(path: str, expected: set[str], stored: set[str]) -> None:
    if unexpected := sorted(stored - expected):
        raise ReflowError(
            "teacher_model_path",
            f"{path} has {len(unexpected)} unexpected tensors, such as {unexpected[0]}"
            f"{' (weights of another teacher)' if 'teacher' in unexpected[0] else ''}; run `ckpt "
            f"sanitize {path}` and pass the folder it writes.",
        )
    if missing := sorted(expected - stored):
        raise ReflowError(
            "teacher_model_path",
            f"{path} is missing {len(missing)} of {len(expected)} tensors, such as {missing[0]}; "
            "pass a complete checkpoint, not one saved as an adapter or with a shared VLM.",
        )


def _check_tensor(
    path: str, name: str, tensor: Tensor, expected: Tensor, config: SmolVLAConfig
) -> None:
    if tensor.shape != expected.shape:
        raise ReflowError(
            "vlm_model_name",
            f"{config.vlm_model_name} with the teacher's config gives {name} the shape "
            f"{list(expected.shape)}, but in {path} it has "
            f"{list(tensor.shape)}; pass the VLM the teacher was built on.",
        )
    if not all_finite(tensor):
        raise NotFiniteError(
            "teacher_model_path",
            f"{path} holds NaN or infinity in {name}; pass a checkpoint from before its training "
            "diverged.",
        )


def all_finite(tensor: Tensor) -> bool:
    """True when the tensor has neither NaN nor infinity.

    It checks the extremes, 20 times faster than a mask: a NaN anywhere makes them NaN.
    """
    return tensor.numel() == 0 or all(bool(torch.isfinite(extreme)) for extreme in tensor.aminmax())
