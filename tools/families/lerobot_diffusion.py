"""LeRobot's diffusion policy and VQ-BeT, which share a way to encode images."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tools.families import lerobot_facts as facts
from tools.families.lerobot_model import (
    ACTION,
    BACKBONE,
    CAMERAS,
    ENVIRONMENT,
    HEIGHT,
    SIZES,
    STATE,
    WIDTH,
    features,
    flag,
    sample,
    setting,
)
from tools.families.recipe import Field, Recipe

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tools.families.recipe import Sample

_CROPS = (None, [64, 80], [84, 84], [90, 70], [75, 95])
_RESIZED = (None, None, [100, 130], [128, 96], [140, 170])
_DOWN = (
    *([16, 32], [24, 48, 72], [40, 40, 56], [16, 24, 40, 64], [56, 56], [32, 64, 64], [88]),
    *([64, 32], [48, 24, 40], [40, 80, 40, 64]),
)
"""Some where a block has as many inputs as outputs, on the way down and on the way up."""


def _seen(edge: str, axis: int, resized: str = "") -> str:
    """Return the size of ResNet's last feature map, of images that are resized or cropped."""
    cropped = f"crop[{axis}] if crop[{axis}] else {edge}"
    return f"(({f'{resized} else ' if resized else ''}{cropped}) + 31) // 32"


def _diffusion(drawn: Mapping[str, object]) -> Sample:
    from lerobot.policies.diffusion.modeling_diffusion import (
        DiffusionPolicy,
    )

    seen = {"state": SIZES[4], **drawn}
    seen["state"] = seen["state"] or SIZES[4]
    if not seen.get("cameras", 1) and not seen.get("environment"):
        seen["environment"] = SIZES[5]
    settings = {"pretrained_backbone_weights": None, "n_groups": 8, **features(seen), **seen}
    if "crop" in seen:
        settings["crop_shape"] = seen["crop"]
    if "resize" in seen:
        settings["resize_shape"] = seen["resize"]
    if "ratio" in seen:
        settings["crop_ratio"] = seen["ratio"]
    return sample(DiffusionPolicy, settings)


DIFFUSION = Recipe(
    "lerobot",
    "diffusion",
    (
        BACKBONE,
        flag("use_group_norm", default=False),
        flag("use_separate_rgb_encoder_per_camera", default=True),
        flag("use_film_scale_modulation", default=True)._replace(choice=False),
        Field("compile_model", "/compile_model", (False,), choice=True, default=False),
        setting("n_obs_steps", 1, 2, 3, 5, default=2),
        setting("down_dims", *_DOWN, default=[512, 1024, 2048]),
        setting("kernel_size", 3, 5, 7, 9, default=5),
        setting("diffusion_step_embed_dim", 34, 62, 78, 94, default=128),
        setting("spatial_softmax_num_keypoints", 33, 51, 69, default=32),
        Field("crop", "/crop_shape", _CROPS, default=[0, 0]),
        Field("resize", "/resize_shape", _RESIZED, default=[0, 0]),
        Field("ratio", "/crop_ratio", (0.5, 0.75, 1.0, 0.9), default=1.0),
        HEIGHT,
        WIDTH,
        CAMERAS._replace(draw=(0, 1, 2, 3)),
        STATE._replace(draw=SIZES[:6]),
        ENVIRONMENT,
        ACTION._replace(draw=(*SIZES[3:], 16, 24, 40, 64)),
    ),
    {
        "rows": _seen("height", 0, "int(resize[0] * ratio) if resize[0]"),
        "columns": _seen("width", 1, "int(resize[1] * ratio) if resize[1]"),
        "image": "2 * spatial_softmax_num_keypoints * cameras",
        "condition": "(image + state + environment) * n_obs_steps + diffusion_step_embed_dim",
        "scale": "2 if use_film_scale_modulation else 1",
    },
    _diffusion,
    facts.DIFFUSION,
    hints=(
        "(down_dims[i - 1] if i > 0 else action) != down_dims[i]",
        "2 * down_dims[-1 - i] != down_dims[-2 - i]",
        "i > 0",
    ),
    samples=96,
)


def _vqbet(drawn: Mapping[str, object]) -> Sample:
    from lerobot.policies.vqbet.modeling_vqbet import VQBeTPolicy

    seen = {**drawn, "state": drawn.get("state") or SIZES[4]}
    settings = {"pretrained_backbone_weights": None, **features(seen), **seen}
    if "crop" in seen:
        settings["crop_shape"] = seen["crop"]
    return sample(VQBeTPolicy, settings)


VQBET = Recipe(
    "lerobot",
    "vqbet",
    (
        BACKBONE,
        flag("use_group_norm", default=False),
        flag("sequentially_select", default=False),
        setting("n_obs_steps", 2, 3, 5, 6, default=5),
        setting("n_action_pred_token", 2, 3, 4, 7, default=3),
        setting("action_chunk_size", 3, 4, 5, 8, default=5),
        setting("spatial_softmax_num_keypoints", 33, 51, 69, default=32),
        setting("vqvae_n_embed", 14, 18, 22, default=16),
        setting("vqvae_embedding_dim", 130, 142, 154, default=256),
        setting("vqvae_enc_hidden_dim", 57, 75, 81, default=128),
        setting("gpt_block_size", 301, 313, 377, default=500),
        setting("gpt_input_dim", 63, 77, 99, default=512),
        setting("gpt_output_dim", 67, 85, 101, default=512),
        setting("gpt_n_layer", 1, 2, 3, 4, default=8),
        setting("gpt_hidden_dim", 48, 72, 104, 136, default=512),
        Field("crop", "/crop_shape", _CROPS, default=[84, 84], null="[0, 0]"),
        HEIGHT,
        WIDTH,
        STATE._replace(draw=SIZES[:6]),
        ACTION,
    ),
    {
        "rows": _seen("height", 0),
        "columns": _seen("width", 1),
        "chunk": "action_chunk_size * action",
        "tokens": "n_action_pred_token + n_obs_steps - 1",
    },
    _vqbet,
    facts.VQBET,
    samples=72,
)

RECIPES = (DIFFUSION, VQBET)
