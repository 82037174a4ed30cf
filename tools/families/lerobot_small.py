"""LeRobot's policies without a language model: ACT, diffusion, VQ-BeT, TD-MPC and others."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tools.families import lerobot_facts as facts
from tools.families.lerobot_model import (
    ACTION,
    BACKBONE,
    CAMERAS,
    CHANNELS,
    ENVIRONMENT,
    HEIGHT,
    SIZES,
    STATE,
    features,
    flag,
    sample,
    setting,
)
from tools.families.recipe import Recipe

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tools.families.recipe import Sample

_WIDTHS = (24, 40, 56, 72, 88, 104, 120)
_DEPTHS = (1, 2, 3, 4)


def _act(drawn: Mapping[str, object]) -> Sample:
    from lerobot.policies.act.modeling_act import ACTPolicy

    seen = dict(drawn)
    if not seen.get("cameras", 1) and not seen.get("environment"):
        seen["environment"] = SIZES[5]
    settings = {"pretrained_backbone_weights": None, **features(seen)}
    return sample(ACTPolicy, {**settings, **seen})


ACT = Recipe(
    "lerobot",
    "act",
    (
        BACKBONE,
        flag("use_vae", default=True),
        flag("pre_norm", default=False),
        setting("dim_model", *_WIDTHS, default=512),
        setting("dim_feedforward", 33, 51, 69, 93, 111, default=3200),
        setting("n_encoder_layers", *_DEPTHS, default=4),
        setting("n_decoder_layers", *_DEPTHS, default=1),
        setting("n_vae_encoder_layers", *_DEPTHS, default=4),
        setting("latent_dim", 34, 38, 46, 58, default=32),
        setting("chunk_size", 110, 117, 126, 133, 148, default=100),
        CAMERAS._replace(draw=(0, 1, 2, 3)),
        STATE,
        ENVIRONMENT,
        ACTION,
    ),
    {"tokens": "1 + (1 if state else 0) + (1 if environment else 0)"},
    _act,
    facts.ACT,
)


def _tdmpc(drawn: Mapping[str, object]) -> Sample:
    from lerobot.policies.tdmpc.modeling_tdmpc import TDMPCPolicy

    seen = dict(drawn)
    if not seen.get("cameras", 1) and not seen.get("environment"):
        seen["environment"] = SIZES[5]
    return sample(TDMPCPolicy, {**features(seen), **seen})


TDMPC = Recipe(
    "lerobot",
    "tdmpc",
    (
        setting("latent_dim", 50, 66, 70, 94, default=50),
        setting("mlp_dim", 34, 62, 75, 81, default=512),
        setting("state_encoder_hidden_dim", 33, 51, 69, 93, default=256),
        setting("image_encoder_hidden_dim", 15, 21, 27, 39, default=32),
        setting("q_ensemble_size", 2, 3, 4, 5, default=5),
        CAMERAS._replace(draw=(0, 1, 1)),
        CHANNELS,
        HEIGHT._replace(draw=(64, 75, 84, 96, 101, 110, 128)),
        STATE,
        ENVIRONMENT,
        ACTION,
    ),
    {
        "half": "((height - 7) // 2 + 1 - 5) // 2 + 1",
        "side": "((half - 3) // 2 + 1 - 3) // 2 + 1",
    },
    _tdmpc,
    facts.TDMPC,
)

RECIPES = (ACT, TDMPC)
