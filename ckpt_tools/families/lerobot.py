"""LeRobot's policies as data: types by release, processor steps, normalization modes, chunks.

Facts of LeRobot 0.3 to 0.6.1: `configuration_*.py`, `processor_*.py` and `modeling_*.py` of its
policies. What a rule makes of them is the rule's; SmolVLA's tensors are its own family's.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NamedTuple

from ckpt_tools.checkpoint.names import unwrapped

if TYPE_CHECKING:
    from collections.abc import Iterable

type Width = tuple[str, int, str]
"""A tensor, an axis of it, and what in config.json it must equal: `action`, `state`, or a field."""


class Policy(NamedTuple):
    """What every checkpoint of one policy type has.

    `modes` are its default modes for images, state and action. `steps` are the steps that its
    preprocessor needs besides those of every policy. `chunk` is the field that limits
    `n_action_steps`, "" for none; `sizes` are the defaults of both. `shortens`: a chunk loses its
    first `n_obs_steps` - 1 actions, and a larger `n_action_steps` is not rejected. `restored` is
    the action's mode in the postprocessor where that is not config.json's. `widths` are sizes that
    config.json and weights share, `mark` a part of the names of its tensors and of no other's.
    `hides`: its loader hides that the weights do not fit, and keeps random ones.
    """

    modes: tuple[str, str, str]
    steps: tuple[str, ...] = ()
    chunk: str = ""
    sizes: tuple[int, int] = (0, 0)
    shortens: bool = False
    restored: str = ""
    widths: tuple[Width, ...] = ()
    mark: str = ""
    hides: bool = False


_IDENTITY = ("IDENTITY", "IDENTITY", "IDENTITY")
_STANDARD = ("IDENTITY", "MEAN_STD", "MEAN_STD")
_QUANTILES = ("IDENTITY", "QUANTILES", "QUANTILES")
_RANGES = ("IDENTITY", "MIN_MAX", "MIN_MAX")
_IMAGES_AND_RANGES = ("MEAN_STD", "MIN_MAX", "MIN_MAX")
_CHUNK = "chunk_size"
_TOKENS = "tokenizer_processor"
_PI_ACTION = ("model.action_in_proj.weight", 1, "max_action_dim")
_PI_STATE = ("model.state_proj.weight", 1, "max_state_dim")

POLICIES = {
    "act": Policy(
        ("MEAN_STD", "MEAN_STD", "MEAN_STD"),
        chunk=_CHUNK,
        sizes=(100, 100),
        widths=(
            ("model.action_head.weight", 0, "action"),
            ("model.encoder_robot_state_input_proj.weight", 1, "state"),
            ("model.decoder_pos_embed.weight", 0, _CHUNK),
            ("model.decoder_pos_embed.weight", 1, "dim_model"),
            ("model.encoder_latent_input_proj.weight", 1, "latent_dim"),
        ),
        mark="model.decoder_pos_embed.",
    ),
    "diffusion": Policy(
        _IMAGES_AND_RANGES,
        chunk="horizon",
        shortens=True,
        widths=(("diffusion.unet.final_conv.1.weight", 0, "action"),),
        mark="diffusion.unet.",
    ),
    "eo1": Policy(
        _STANDARD,
        ("eo1_conversation_template_processor", "eo1_qwen_processor"),
        _CHUNK,
        (8, 8),
    ),
    "evo1": Policy(_RANGES, (), _CHUNK, (50, 50)),
    "fastwam": Policy(_STANDARD, (), "action_horizon", (32, 32)),
    "gaussian_actor": Policy(_IMAGES_AND_RANGES),
    "groot": Policy(_IDENTITY),
    "lingbot_va": Policy(_IDENTITY, restored="QUANTILES"),
    "molmoact2": Policy(_QUANTILES, ("molmoact2_pack_inputs",), _CHUNK, (30, 30)),
    "multi_task_dit": Policy(_IMAGES_AND_RANGES, (_TOKENS,), "horizon", shortens=True),
    "pi0": Policy(
        _STANDARD,
        ("pi0_new_line_processor", _TOKENS),
        _CHUNK,
        (50, 50),
        widths=(_PI_ACTION, _PI_STATE),
        hides=True,
    ),
    "pi05": Policy(
        _QUANTILES,
        ("pi05_prepare_state_tokenizer_processor_step", _TOKENS),
        _CHUNK,
        (50, 50),
        widths=(_PI_ACTION,),
        hides=True,
    ),
    "pi0_fast": Policy(
        _STANDARD,
        ("pi0_fast_prepare_state_tokenizer_processor_step", _TOKENS),
        _CHUNK,
        (50, 50),
        hides=True,
    ),
    "smolvla": Policy(
        _STANDARD,
        ("smolvla_new_line_processor", _TOKENS),
        _CHUNK,
        (50, 50),
        mark=".vlm_with_expert.",
    ),
    "tdmpc": Policy(
        ("IDENTITY", "IDENTITY", "MIN_MAX"), chunk="horizon", sizes=(5, 1), mark="model_target."
    ),
    "vla_jepa": Policy(("IDENTITY", "MEAN_STD", "MIN_MAX"), (), _CHUNK, (7, 7)),
    "vqbet": Policy(_RANGES, mark="vqbet.action_head."),
    "wall_x": Policy(_STANDARD, ("wall_x_task_processor",), _CHUNK, (32, 32)),
    "xvla": Policy(
        _IDENTITY,
        (_TOKENS, "xvla_image_to_float", "xvla_imagenet_normalize", "xvla_add_domain_id"),
        _CHUNK,
        (32, 32),
    ),
}
"""The policies of LeRobot 0.6.1, by type."""

SETTINGS = (
    "/type",
    "/vision_backbone",
    "/chunk_size",
    "/horizon",
    "/action_horizon",
    "/n_obs_steps",
    "/n_action_steps",
    "/num_inference_steps",
    "/max_state_dim",
    "/max_action_dim",
    "/pretrained_path",
)
"""Config values of any policy that a summary shows, where config.json has them."""

REWARD_MODELS = frozenset({"sarm", "reward_classifier", "robometer", "topreward"})
"""Types of models that score and do not act; their files look like a policy's."""

NEWEST = "LeRobot 0.6.1"
_OLDEST = frozenset({"act", "diffusion", "pi0", "sac", "smolvla", "tdmpc", "vqbet"})
_OF_0_4 = _OLDEST | {"groot", "pi05", "pi0_fast", "wall_x", "xvla"}
_BY_RELEASE = {
    "lerobot==0.3": _OLDEST | {"pi0fast"},
    "lerobot==0.4": _OF_0_4,
    "lerobot==0.5": _OF_0_4 | {"multi_task_dit"},
}
GONE = {
    "sac": "LeRobot 0.6 calls it gaussian_actor, with other fields",
    "pi0fast": "LeRobot 0.4 removed it; pi0_fast is another policy",
}
"""Types of older releases that the newest does not register, and why."""

OLD_GROOT = ".eagle_model."
"""A part of the names of GR00T N1.5, which only LeRobot 0.4 and 0.5 load."""

OLD_STEPS = frozenset(
    {
        "groot_pack_inputs_v3",
        "groot_eagle_encode_v3",
        "groot_eagle_collate_v3",
        "groot_action_unpack_unnormalize_v1",
    }
)
"""The steps of GR00T N1.5's processors."""

EFFECTS = {
    "rename_observations_processor": ("lerobot-eval rejects the preprocessor", "error"),
    "device_processor": ("lerobot-eval rejects the preprocessor", "error"),
    _TOKENS: ("there are no tokens, and the first inference fails", "error"),
    "eo1_conversation_template_processor": ("there is no prompt", "error"),
    "eo1_qwen_processor": ("there are no tokens, and the first inference fails", "error"),
    "molmoact2_pack_inputs": ("there are no tokens, and the first inference fails", "error"),
    "pi05_prepare_state_tokenizer_processor_step": ("the prompt lacks the state", "error"),
    "pi0_fast_prepare_state_tokenizer_processor_step": ("the prompt lacks the state", "error"),
    "smolvla_new_line_processor": ("the prompt differs from training", "warning"),
    "pi0_new_line_processor": ("the prompt differs from training", "warning"),
    "wall_x_task_processor": ("the prompt differs from training", "warning"),
    "xvla_image_to_float": ("images stay as they come in", "note"),
    "xvla_imagenet_normalize": ("images are not normalized", "note"),
    "xvla_add_domain_id": ("the policy is not told which robot it moves", "note"),
}
"""What happens without a step, and how bad that is.

A note where lerobot-eval adds the step itself for some environments.
"""

ORDER = (
    (
        "smolvla_new_line_processor",
        _TOKENS,
        "the prompt differs from training",
        "warning",
    ),
    ("pi0_new_line_processor", _TOKENS, "the prompt differs from training", "warning"),
    (
        "pi05_prepare_state_tokenizer_processor_step",
        _TOKENS,
        "the prompt lacks the state",
        "error",
    ),
    (
        "pi0_fast_prepare_state_tokenizer_processor_step",
        _TOKENS,
        "the prompt lacks the state",
        "error",
    ),
    (
        "normalizer_processor",
        "pi05_prepare_state_tokenizer_processor_step",
        "the prompt has the raw state",
        "error",
    ),
    (
        "normalizer_processor",
        "pi0_fast_prepare_state_tokenizer_processor_step",
        "the prompt has the raw state",
        "error",
    ),
    (
        "xvla_image_to_float",
        "xvla_imagenet_normalize",
        "stock LeRobot fails at the first inference",
        "error",
    ),
)
"""(step, the step that it must come before, what happens otherwise, how bad that is)."""

_BUFFER = re.compile(
    r"(?:(?:un)?normali[sz]e(?:_inputs|_targets|_outputs)?|normalalize_inputs"
    r"|(?:input|output)_(?:un)?normalizer)"
    r"\.(?:buffer_)?.*\.(?:mean|std|min|max|q[0-9]{2})"
    r"|buffer_(?:observation|action).*\.(?:mean|std|min|max|q[0-9]{2})",
    re.ASCII,
)


def is_buffer(name: str) -> bool:
    """Whether a tensor is a normalization statistic, as policies before LeRobot 0.4 kept it."""
    return _BUFFER.fullmatch(unwrapped(name).removeprefix("model.")) is not None


def registered(target: str) -> frozenset[str]:
    """Return the policy types of a release such as `lerobot==0.5`; "" for the newest."""
    return next(
        (types for release, types in _BY_RELEASE.items() if f"{target}.".startswith(f"{release}.")),
        frozenset(POLICIES),
    )


def type_by_names(names: Iterable[str]) -> str:
    """Return the policy type that tensor names show, "" where they show none or several."""
    text = "\n".join(f".{name}" for name in names)  # no mark has a line break
    found = {kind for kind, policy in POLICIES.items() if policy.mark and policy.mark in text}
    return found.pop() if len(found) == 1 else ""
