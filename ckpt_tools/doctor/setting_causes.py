"""Settings in which a student may differ from its normal checkpoint, and the effects."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ckpt_tools.checkpoint.documents import CONFIG, TRAIN_CONFIG
from ckpt_tools.doctor.model import Cause, CauseCode, Effect, Evidence
from ckpt_tools.rules.policy_config import is_integer
from ckpt_tools.strict_json.pointer import ABSENT
from ckpt_tools.text import value as shown

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ckpt_tools.checkpoint.model import Checkpoint
    from ckpt_tools.doctor.repairs import Repairs

_COST = """
    resize_imgs_with_padding pad_language_to prefix_length tokenizer_max_length empty_cameras
    num_vlm_layers num_expert_layers expert_width_multiplier use_amp
"""
_MEANING = """
    chunk_size n_obs_steps input_features output_features adapt_to_pi_aloha
    use_delta_joint_actions_aloha add_image_special_tokens attention_mode self_attn_every_n_layers
    min_period max_period max_state_dim max_action_dim rtc_config
"""
KEYS = ("num_steps", "n_action_steps", "device", "compile_model", *_COST.split(), *_MEANING.split())
"""Keys of config.json that are compared in addition to those with a rule."""

type _Found = tuple[CauseCode, Effect, str] | None
"""The cause, its effect, and what the difference does."""


def of_setting(key: str, normal: object, reflow: object, repairs: Repairs) -> Iterator[Cause]:
    """Yield the cause that a key's value in REFLOW is, given NORMAL's."""
    if normal == reflow or ABSENT in (normal, reflow):
        return
    if found := _effect(key, normal, reflow):
        code, effect, what = found
        what = f"{key} is {shown(reflow)}, and {shown(normal)} in NORMAL: {what}"
        yield Cause(code, effect, what, repairs.set(key, normal))


def _effect(key: str, normal: object, reflow: object) -> _Found:
    if key == "num_steps":
        return _steps(normal, reflow)
    if key == "n_action_steps":
        return _action_steps(normal, reflow)
    if key == "device":
        what = "LeRobot loads and runs it on the CPU"
        return (CauseCode.DEVICE, Effect.SLOW, what) if reflow == "cpu" else None
    if key == "compile_model":
        what = (
            "the first chunk waits minutes for the compiler"
            if reflow is True
            else "NORMAL runs compiled, REFLOW does not"
        )
        return CauseCode.COMPILE_MODEL, Effect.SLOW, what
    if key in _COST.split():
        what = "the amount of computation and the actions differ"
        return CauseCode.MORE_TO_COMPUTE, Effect.SLOW, what
    what = "the inputs or actions have another meaning"
    return CauseCode.CONFIG_DIFFERS, Effect.WRONG, what


def _steps(normal: object, reflow: object) -> _Found:
    if not is_integer(normal) or not is_integer(reflow) or reflow <= normal:
        return None
    what = f"a chunk takes {reflow} passes through the action expert instead of {normal}"
    return CauseCode.NUM_STEPS, Effect.SLOW, what


def _action_steps(normal: object, reflow: object) -> _Found:
    if not is_integer(normal) or not is_integer(reflow):
        return None
    if reflow < normal:
        what = f"it computes a chunk {normal / max(reflow, 1):.3g} times as often"
        return CauseCode.ACTION_STEPS, Effect.SLOW, what
    return CauseCode.ACTION_STEPS, Effect.WRONG, "it reads new observations less often"


def other_steps(reflow: Checkpoint, repairs: Repairs) -> Iterator[Cause]:
    """Yield the cause that another num_steps is than the student was trained for.

    The plugin sets num_steps to what a student's objective trains for; only reflow leaves it open.
    """
    documents = (reflow.document(path) for path in (CONFIG, TRAIN_CONFIG))
    config, training = (document.value if document else {} for document in documents)
    policy = training.get("policy")
    if not isinstance(policy, dict) or policy.get("objective", "reflow") == "reflow":
        return
    steps, trained = config.get("num_steps"), policy.get("num_steps")
    if is_integer(steps) and is_integer(trained) and steps != trained:
        code = CauseCode.TOO_FEW_STEPS if steps < trained else CauseCode.TOO_MANY_STEPS
        what = f"num_steps is {steps}, but the student was trained for sampling in {trained}"
        said = Evidence(f"{TRAIN_CONFIG}: objective {shown(policy['objective'])}")
        yield Cause(code, Effect.WRONG, what, repairs.set("num_steps", trained), (said,))
