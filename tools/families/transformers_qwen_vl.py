"""Recipes of Qwen's models of transformers that read images and text."""

from __future__ import annotations

from tools.families.recipe import Field, Recipe
from tools.families.transformers_decoders import SPLIT
from tools.families.transformers_models import HEADS, LAYERS, recipe
from tools.families.transformers_multimodal import BIAS, PARTS, TIED, WIDTHS, decoder, tokens
from tools.families.transformers_vision import (
    CHANNELS,
    OTHER_HIDDEN,
    OTHER_INNER,
    PATCHES,
    PROJECTIONS,
)

QWEN_RENAMES = [
    {
        "since": "transformers 4.52",
        "until": "transformers 4.57",
        "names": [[r"^model\.language_model\.", "model."]],
    },
    {"until": "transformers 4.51", "names": [[r"^visual\.", "model.visual."]]},
]

QWEN_TOKENS = tokens(
    image_token_id=3, video_token_id=4, vision_start_token_id=5, vision_end_token_id=6
)


def seen(defaults: tuple[int, int, int]) -> tuple[Field, ...]:
    """Return the fields of Qwen's image encoders that all have: patch, merge and frames."""
    patch, merge, frames = defaults
    return (
        Field("v_heads", "/vision_config/num_heads", HEADS, default=16),
        Field("channels", "/vision_config/in_channels", CHANNELS, default=3),
        Field("patch", "/vision_config/patch_size", PATCHES, default=patch),
        Field("merge", "/vision_config/spatial_merge_size", (2, 3, 4), default=merge),
        Field("frames", "/vision_config/temporal_patch_size", (1, 2, 3), default=frames),
    )


def qwen(key: str, name: str, vision: tuple[Field, ...]) -> Recipe:
    """Return the recipe of a Qwen whose published configs have no text_config."""
    flat = (
        ("vocab", "vocab_size", 152064),
        ("hidden", "hidden_size", 8192),
        ("inner", "intermediate_size", 29568),
        ("layers", "num_hidden_layers", 80),
        ("heads", "num_attention_heads", 64),
        ("kv_heads", "num_key_value_heads", 8),
    )
    inner = [f"flat_{name}" for name, _, _ in flat]
    return recipe(
        key,
        (f"{name}ForConditionalGeneration", f"{name}Model"),
        (
            TIED._replace(default=False),
            *decoder((inner[0], inner[1], inner[2], inner[3], inner[4], inner[5])),
            *(Field(f"flat_{one}", f"/{at}", (None,), default=size) for one, at, size in flat),
            *seen((14, 2, 2)),
            *vision,
        ),
        prefix="model",
        derived={"head_dim": SPLIT, **WIDTHS, "merged": "v_hidden * merge * merge"},
        fixed=QWEN_TOKENS,
        extra={
            "components": PARTS,
            "replaced": [[r"^model\.language_model\.", "model."], [r"^language_model\.", ""]],
            "renames": QWEN_RENAMES,
        },
    )


RECIPES = (
    qwen(
        "qwen2_5_vl",
        "Qwen2_5_VL",
        (
            Field("depth", "/vision_config/depth", LAYERS, default=32),
            Field("v_hidden", "/vision_config/hidden_size", OTHER_HIDDEN, default=3584),
            Field("v_inner", "/vision_config/intermediate_size", OTHER_INNER, default=3420),
            Field("projected", "/vision_config/out_hidden_size", PROJECTIONS, default=3584),
        ),
    ),
    qwen(
        "qwen2_vl",
        "Qwen2VL",
        (
            Field("depth", "/vision_config/depth", LAYERS, default=32),
            Field("v_hidden", "/vision_config/embed_dim", OTHER_HIDDEN, default=1280),
            Field("ratio", "/vision_config/mlp_ratio", (2, 3, 4), default=4),
            Field("projected", "/vision_config/hidden_size", PROJECTIONS, default=3584),
        ),
    ),
    recipe(
        "qwen3_vl",
        ("Qwen3VLForConditionalGeneration", "Qwen3VLModel"),
        (
            TIED._replace(default=False),
            BIAS,
            *decoder((151936, 4096, 22016, 32, 32, 32), 128),
            *seen((16, 2, 2)),
            Field("depth", "/vision_config/depth", (3, 4, 5), default=27),
            Field("v_hidden", "/vision_config/hidden_size", OTHER_HIDDEN, default=1152),
            Field("v_inner", "/vision_config/intermediate_size", OTHER_INNER, default=4304),
            Field("projected", "/vision_config/out_hidden_size", PROJECTIONS, default=3584),
            Field("places", "/vision_config/num_position_embeddings", (36, 49, 100), default=2304),
            Field(
                "deep",
                "/vision_config/deepstack_visual_indexes",
                ([0], [0, 1], [0, 1, 2]),
                default="[8, 16, 24]",
            ),
        ),
        prefix="model",
        derived={**WIDTHS, "merged": "v_hidden * merge * merge"},
        fixed=QWEN_TOKENS,
        extra={"components": PARTS},
        samples=96,
    ),
)
