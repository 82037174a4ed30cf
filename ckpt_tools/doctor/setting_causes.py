"""Keys of config.json in which a student may differ from its normal checkpoint, and what each difference does to speed and actions."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ckpt_tools.doctor.model import Cause, CauseCode, Effect
from ckpt_tools.rules.policy_config import is_integer
from ckpt_tools.strict_json.pointer import ABSENT
from ckpt_tools.text import value as shown

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ckpt_tools.doctor.repairs import Repairs

_COST = (
    *(
        "resize_imgs_with_padding",
        "pad_language_to",
        "prefix_length",
        "tokenizer_max_length",
        "empty_cameras",
    ),
    *("num_vlm_layers", "num_expert_layers", "expert_width_multiplier", "use_amp"),
)
_MEANING = (
    *(
        "chunk_size",
        "n_obs_steps",
        "input_features",
        "output_features",
        "adapt_to_pi_aloha",
        "use_delta_joint_actions_aloha",
        "add_image_special_tokens",
    ),
    *(
        "attention_mode",
        "self_attn_every_n_layers",
        "min_period",
        "max_period",
        "max_state_dim",
        "max_action_dim",
        "rtc_config",
    ),
)
KEYS = ("num_steps", "n_action_steps", "device", "compile_model", *_COST, *_MEANING)
"""What is compared, beside what the rules look at."""


def of_setting(key: str, normal: object, reflow: object, repairs: Repairs) -> Iterator[Cause]:
    """Yield what a key's value in REFLOW causes, given NORMAL's.

    Nothing where they agree or one of them is not known.
    """
    if normal == reflow or ABSENT in (normal, reflow):
        return
    said = f"{key} is {shown(reflow)}, and {shown(normal)} in NORMAL"
    if key == "num_steps":
        if is_integer(normal) and is_integer(reflow) and reflow > normal:
            what = f"{said}: a chunk takes {reflow} passes through the action expert instead of {normal}"
            yield Cause(CauseCode.NUM_STEPS, Effect.SLOW, what, repairs.set(key, normal))
    elif key == "n_action_steps":
        yield from _action_steps(said, normal, reflow, repairs)
    elif key == "device":
        if reflow == "cpu":
            yield Cause(
                CauseCode.DEVICE,
                Effect.SLOW,
                f"{said}: LeRobot loads and runs it on the CPU",
                repairs.set(key, normal),
            )
    elif key == "compile_model":
        what = (
            "the first chunk waits for the compiler, for minutes"
            if reflow is True
            else "NORMAL runs compiled, REFLOW does not"
        )
        yield Cause(
            CauseCode.COMPILE_MODEL, Effect.SLOW, f"{said}: {what}", repairs.set(key, normal)
        )
    elif key in _COST:
        yield Cause(
            CauseCode.MORE_TO_COMPUTE,
            Effect.SLOW,
            f"{said}: another amount to compute, and other actions",
            repairs.set(key, normal),
        )
    else:
        yield Cause(
            CauseCode.CONFIG_DIFFERS,
            Effect.WRONG,
            f"{said}: the same observation means something else",
            repairs.set(key, normal),
        )


def _action_steps(said: str, normal: object, reflow: object, repairs: Repairs) -> Iterator[Cause]:
    if not is_integer(normal) or not is_integer(reflow):
        return
    if reflow < normal:
        what, effect = (
            f"{said}: it computes a chunk {normal / max(reflow, 1):.3g} times as often",
            Effect.SLOW,
        )
    else:
        what, effect = f"{said}: it looks at the world less often", Effect.WRONG
    yield Cause(CauseCode.ACTION_STEPS, effect, what, repairs.set("n_action_steps", normal))
