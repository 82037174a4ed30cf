"""diffusers' models whose formulas are found by the solver: transformers, and the tiny autoencoder.

Their config.json has single numbers, unlike that of the U-Nets.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from tools.families.diffusers_blocks import components
from tools.families.diffusers_recipes import build
from tools.families.recipe import NOTHING, Field, Recipe

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tools.families.recipe import Sample

# Numbers of different fields have no factors in common, so that a size shows where it comes from.
_CHANNELS = (13, 17, 19, 23)
_OTHER_CHANNELS = (9, 11, 29, 31)
_HEADS = (2, 3, 5, 7)
_HEAD = (12, 24, 36, 60)
_LAYERS = (1, 4, 6, 8)
_TEXT = (45, 55, 65, 75)
_BOOLS = (False, True)


def _setting(name: str, *values: object, default: object, choice: bool = False) -> Field:
    return Field(name, f"/{name}", values, choice=choice, default=default)


def _recipe(
    name: str,
    fields: tuple[Field, ...],
    parts: tuple[tuple[str, str, str], ...],
    derived: Mapping[str, str] = NOTHING,
    samples: int = 0,
) -> Recipe:
    """Return the recipe of a class; a draw of 0 is null in its config."""
    nullable = {field.name for field in fields if field.null == "0"}

    def built(drawn: Mapping[str, object]) -> Sample:
        return build(name, {k: (v or None) if k in nullable else v for k, v in drawn.items()})

    extra = {"components": components(*parts)}
    return Recipe("diffusers", name, fields, derived, built, extra, samples=samples)


def _attention(heads: int, head: int) -> tuple[Field, ...]:
    return (
        _setting("num_attention_heads", *_HEADS, default=heads),
        _setting("attention_head_dim", *_HEAD, default=head),
    )


_USUAL_BLOCKS = (
    _setting("activation_fn", "gelu-approximate", choice=True, default="gelu-approximate"),
    Field(
        "norm_elementwise_affine", "/norm_elementwise_affine", (False,), choice=True, default=False
    ),
)
"""What no published model has otherwise."""

_WIDTH = {"width": "num_attention_heads * attention_head_dim"}
_OUT = {
    "out": "out_channels if out_channels else in_channels",
    "pixels": "patch_size * patch_size * out",
}

DIT = _recipe(
    "DiTTransformer2DModel",
    (
        *_attention(16, 72),
        *_USUAL_BLOCKS,
        _setting("attention_bias", *_BOOLS, choice=True, default=True),
        _setting("in_channels", *_CHANNELS, default=4),
        _setting("out_channels", 0, *_OTHER_CHANNELS, default=0)._replace(null="0"),
        _setting("num_layers", *_LAYERS, default=28),
        _setting("patch_size", 1, 2, 3, 4, default=2),
        _setting("num_embeds_ada_norm", 101, 103, 107, 109, default=1000),
        _setting("norm_num_groups", 1, default=32),
    ),
    (
        ("embeddings", "embeddings", "pos_embed."),
        ("blocks", "blocks", "transformer_blocks."),
        ("output", "output", "proj_out_1. proj_out_2."),
    ),
    _WIDTH | _OUT,
)
PIXART = _recipe(
    "PixArtTransformer2DModel",
    (
        *_attention(16, 72),
        *_USUAL_BLOCKS,
        _setting("attention_bias", *_BOOLS, choice=True, default=True),
        Field(
            "use_additional_conditions",
            "/use_additional_conditions",
            _BOOLS,
            choice=True,
            default="sample_size == 128",
        ),
        _setting("attention_type", "default", choice=True, default="default"),
        _setting("sample_size", 16, 32, 48, 64, default=128),
        _setting("in_channels", *_CHANNELS, default=4),
        _setting("out_channels", 0, *_OTHER_CHANNELS, default=8)._replace(null="0"),
        _setting("num_layers", *_LAYERS, default=28),
        _setting("patch_size", 1, 2, 3, 4, default=2),
        _setting("cross_attention_dim", 0, 77, 91, 95, 119, default=1152)._replace(null="0"),
        _setting("caption_channels", 0, *_TEXT, default=0)._replace(null="0"),
    ),
    (
        ("embeddings", "embeddings", "pos_embed. adaln_single. caption_projection."),
        ("blocks", "blocks", "transformer_blocks."),
        ("output", "output", "proj_out. scale_shift_table"),
    ),
    _WIDTH | _OUT,
)
WAN = _recipe(
    "WanTransformer3DModel",
    (
        *_attention(40, 128),
        _setting("cross_attn_norm", *_BOOLS, choice=True, default=True),
        _setting(
            "qk_norm",
            "rms_norm_across_heads",
            choice=True,
            default="rms_norm_across_heads",
        ),
        _setting("patch_size", [1, 2, 2], [2, 3, 1], [1, 3, 3], [2, 2, 5], default=[1, 2, 2]),
        _setting("in_channels", *_CHANNELS, default=16),
        _setting("out_channels", 0, *_OTHER_CHANNELS, default=16)._replace(null="0"),
        _setting("text_dim", *_TEXT, default=4096),
        _setting("freq_dim", 34, 38, 46, 58, default=256),
        _setting("ffn_dim", 51, 57, 63, 69, default=13824),
        _setting("num_layers", *_LAYERS, default=40),
        _setting("image_dim", 0, 85, 95, 115, 125, default=0)._replace(null="0"),
        _setting("added_kv_proj_dim", 0, 87, 93, 99, 105, default=0)._replace(null="0"),
        _setting("pos_embed_seq_len", 0, 7, 14, 21, 28, default=0)._replace(null="0"),
    ),
    (
        ("embeddings", "embeddings", "patch_embedding. condition_embedder."),
        ("blocks", "blocks", "blocks."),
        ("output", "output", "proj_out. scale_shift_table"),
    ),
    _WIDTH
    | {
        "out": _OUT["out"],
        "patch": "patch_size[0] * patch_size[1] * patch_size[2]",
    },
)
QWEN_IMAGE = _recipe(
    "QwenImageTransformer2DModel",
    (
        *_attention(24, 128),
        _setting("use_additional_t_cond", *_BOOLS, choice=True, default=False),
        _setting("in_channels", *_CHANNELS, default=64),
        _setting("out_channels", 0, *_OTHER_CHANNELS, default=16)._replace(null="0"),
        _setting("joint_attention_dim", *_TEXT, default=3584),
        _setting("num_layers", *_LAYERS, default=60),
        _setting("patch_size", 1, 2, 3, 4, default=2),
    ),
    (
        ("embeddings", "embeddings", "time_text_embed. txt_norm. img_in. txt_in."),
        ("blocks", "blocks", "transformer_blocks."),
        ("output", "output", "norm_out. proj_out."),
    ),
    _WIDTH | _OUT,
)
_TINY = ([24, 40, 56, 72], [40, 24, 88, 56], [56, 88, 24, 40], [88, 72, 40, 24])
_USUAL = [64, 64, 64, 64]
TINY = _recipe(
    "AutoencoderTiny",
    (
        _setting("num_encoder_blocks", [1, 3, 3, 3], choice=True, default=[1, 3, 3, 3]),
        _setting("num_decoder_blocks", [3, 3, 3, 1], choice=True, default=[3, 3, 3, 1]),
        _setting("encoder_block_out_channels", *_TINY, default=_USUAL),
        _setting("decoder_block_out_channels", *_TINY, default=_USUAL),
        _setting("in_channels", 3, 5, 7, 9, default=3),
        _setting("out_channels", 10, 14, 15, 16, default=3),
        _setting("latent_channels", 11, 13, 17, 19, default=4),
    ),
    (("encoder", "encoder", "encoder."), ("decoder", "decoder", "decoder.")),
)

RECIPES = (DIT, PIXART, WAN, QWEN_IMAGE, TINY)
