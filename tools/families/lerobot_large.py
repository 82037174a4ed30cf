"""LeRobot's X-VLA and multi-task DiT, whose backbones are models of transformers."""

from __future__ import annotations

from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

from tools.families import lerobot_facts as facts
from tools.families.lerobot_model import (
    ACTION,
    CAMERAS,
    SIZES,
    STATE,
    features,
    flag,
    replaced,
    sample,
    setting,
)
from tools.families.recipe import Field, Recipe

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tools.families.recipe import Sample

_VISION = "/florence_config/vision_config"
_TEXT = "/florence_config/text_config"
_DAVIT = ([16, 24, 40, 48], [24, 32], [8, 40, 48], [32, 16, 64, 56], [40, 24, 8, 56])
"""Widths of the stages, of which there are as many as widths; depths are cut to as many."""
_DEPTHS = ([1, 2, 1, 3], [2, 1, 3, 1], [3, 1, 2, 2], [1, 3, 2, 1])


def _xvla(drawn: Mapping[str, object]) -> Sample:
    from lerobot.policies.xvla.modeling_xvla import XVLAPolicy

    widths = drawn.get("widths", _DAVIT[0])
    stages = len(widths)  # type: ignore[arg-type]  # a list, as drawn
    vision = {
        "patch_size": [7, 3, 3, 3][:stages],
        "patch_stride": [4, 2, 2, 2][:stages],
        "patch_padding": [3, 1, 1, 1][:stages],
        "patch_prenorm": [False, True, True, True][:stages],
        "num_heads": [4] * stages,
        "num_groups": [4] * stages,
        "depths": drawn["depths"][:stages],  # type: ignore[index]  # a list, as drawn
        "projection_dim": drawn["projection"],
        "max_position_embeddings": drawn["positions"],
        "max_temporal_embeddings": drawn["moments"],
        "dim_embed" if drawn["microsoft"] and "widths" in drawn else "embed_dim": widths,
    }
    text = {
        "vocab_size": drawn["vocabulary"],
        "d_model": drawn["projection"],
        "encoder_layers": drawn["text_layers"],
        "encoder_ffn_dim": drawn["text_mlp"],
        "encoder_attention_heads": 2,
        "decoder_layers": 1,
        "decoder_attention_heads": 2,
        "max_position_embeddings": drawn["text_positions"],
    }
    seen = {"state": SIZES[3], **drawn}
    seen["state"] = seen["state"] or SIZES[3]
    florence = {"vision_config": vision, "text_config": text}
    return sample(XVLAPolicy, {**features(seen), **seen, "florence_config": florence})


XVLA = Recipe(
    "lerobot",
    "xvla",
    (
        flag("use_hetero_proj", default=False),
        flag("use_proprio", default=True),
        setting("dtype", "float32", "bfloat16", choice=True, default="float32"),
        setting(
            "action_mode",
            "ee6d",
            "joint",
            "agibot_ee6d",
            "franka_joint7",
            "auto",
            "so101_bimanual",
            choice=True,
            default="ee6d",
        ),
        setting("hidden_size", 64, 80, 112, 144, default=1024),
        setting("depth", 1, 2, 3, 4, default=24),
        setting("mlp_ratio", 2.0, 3.5, 4.0, default=4.0),
        setting("num_domains", 6, 9, 15, 21, default=30),
        setting("len_soft_prompts", 14, 18, 22, default=32),
        setting("dim_time", 34, 38, 46, default=32),
        setting("max_len_seq", 301, 313, 377, default=512),
        setting("max_state_dim", 26, 27, 33, 35, default=32),
        setting("max_action_dim", 25, 28, 36, default=20),
        Field("microsoft", "", (False, True)),
        Field("native", f"{_VISION}/embed_dim", (), default=[128, 256, 512, 1024]),
        Field("widths", f"{_VISION}/dim_embed", _DAVIT, default="native"),
        Field("depths", f"{_VISION}/depths", _DEPTHS),
        Field("projection", f"{_VISION}/projection_dim", (50, 62, 70, 74)),
        Field("positions", f"{_VISION}/max_position_embeddings", (51, 57, 65)),
        Field("moments", f"{_VISION}/max_temporal_embeddings", (101, 117, 123)),
        Field("vocabulary", f"{_TEXT}/vocab_size", (211, 223, 227)),
        Field("text_layers", f"{_TEXT}/encoder_layers", (1, 2, 3, 5)),
        Field("text_mlp", f"{_TEXT}/encoder_ffn_dim", (66, 78, 82)),
        Field("text_positions", f"{_TEXT}/max_position_embeddings", (130, 138, 142)),
        ACTION,
    ),
    {
        "actions": "max_action_dim if action_mode == 'auto'"
        " else 14 if action_mode == 'joint' else 20",
        "inputs": "actions + dim_time + (max_state_dim if use_proprio else 0)",
        "mlp": "int(hidden_size * mlp_ratio)",
    },
    _xvla,
    facts.XVLA,
    samples=72,
)

_CLIPS = {
    "openai/clip-vit-base-patch16": (16, False),
    "openai/clip-vit-base-patch32": (32, False),
    "openai/clip-vit-large-patch14": (14, True),
}
"""Patch size, and whether it is the large model, by name on the Hub."""


def _clip(part: str, name: str) -> Any:
    """Return a part of CLIP as its config on the Hub makes it."""
    import transformers

    patch, large = _CLIPS[name]
    if part == "Vision":
        sizes = {"hidden_size": 1024, "intermediate_size": 4096, "num_hidden_layers": 24}
        heads = {"num_attention_heads": 16}
        config = transformers.CLIPVisionConfig(
            patch_size=patch, **({**sizes, **heads} if large else {})
        )
        return transformers.CLIPVisionModel(config)
    wide = {"hidden_size": 768, "intermediate_size": 3072, "num_attention_heads": 12}
    return transformers.CLIPTextModel(transformers.CLIPTextConfig(**(wide if large else {})))


def _dit(drawn: Mapping[str, object]) -> Sample:
    from lerobot.policies.multi_task_dit import (
        modeling_multi_task_dit as module,
    )

    def stand_in(part: str) -> SimpleNamespace:
        return SimpleNamespace(from_pretrained=lambda name: _clip(part, name))

    settings = {**features(drawn), **drawn}
    with replaced(
        (module, "CLIPVisionModel", stand_in("Vision")), (module, "CLIPTextModel", stand_in("Text"))
    ):
        return sample(module.MultiTaskDiTPolicy, settings)


_BASE = "openai/clip-vit-base-patch16"
MULTI_TASK_DIT = Recipe(
    "lerobot",
    "multi_task_dit",
    (
        flag("use_positional_encoding", default=False),
        flag("use_rope", default=True),
        flag("use_separate_rgb_encoder_per_camera", default=False),
        setting("vision_encoder_name", *_CLIPS, choice=True, default=_BASE),
        setting("text_encoder_name", *_CLIPS, choice=True, default=_BASE),
        setting("hidden_dim", 48, 80, 112, 144, default=512),
        setting("num_layers", 1, 2, 3, 5, default=6),
        setting("timestep_embed_dim", 34, 46, 58, default=256),
        setting("n_obs_steps", 1, 2, 3, 4, default=2),
        setting("horizon", 28, 30, 36, 42, default=32),
        CAMERAS._replace(draw=(0, 1, 2, 3)),
        STATE,
        ACTION,
    ),
    {
        "vision_width": "1024 if vision_encoder_name == 'openai/clip-vit-large-patch14' else 768",
        "text_width": "768 if text_encoder_name == 'openai/clip-vit-large-patch14' else 512",
        "observation": "n_obs_steps * (cameras * vision_width + state + hidden_dim)",
        "condition": "observation + timestep_embed_dim",
    },
    _dit,
    facts.MULTI_TASK_DIT,
    samples=48,
)

RECIPES = (XVLA, MULTI_TASK_DIT)
