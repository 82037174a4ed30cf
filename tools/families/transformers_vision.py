"""Recipes of models of transformers that look at images: ViT, SigLIP, CLIP, DINO."""

from __future__ import annotations

from tools.families.recipe import Field
from tools.families.transformers_models import (
    BOOLS,
    CLASSES,
    HEADS,
    HIDDEN,
    INNER,
    LABELS,
    LAYERS,
    VOCAB,
    components,
    recipe,
)

IMAGES = (30, 36, 42, 54, 66)
PATCHES = (5, 7, 9, 11, 13)
CHANNELS = (1, 3, 4)
OTHER_HIDDEN = (16, 32, 48, 64, 80, 112)
OTHER_INNER = (21, 45, 77, 81, 99, 105)

GRID = {"patches": "(image // patch) * (image // patch)"}

VIT = (
    Field("hidden", "/hidden_size", HIDDEN, default=768),
    Field("layers", "/num_hidden_layers", LAYERS, default=12),
    Field("heads", "/num_attention_heads", HEADS, default=12),
    Field("image", "/image_size", IMAGES, default=224),
    Field("patch", "/patch_size", PATCHES, default=16),
    Field("channels", "/num_channels", CHANNELS, default=3),
)
QKV_BIAS = Field("qkv_bias", "/qkv_bias", BOOLS, choice=True, default=True)


def tower(
    at: str, before: str, hidden: tuple[int, ...], defaults: tuple[int, int, int, int, int, int]
) -> tuple[Field, ...]:
    """Return the fields of an image encoder: hidden, inner, layers, heads, image and patch."""
    size, inner, layers, heads, image, patch = defaults
    return (
        Field(f"{before}hidden", f"{at}/hidden_size", hidden, default=size),
        Field(f"{before}inner", f"{at}/intermediate_size", OTHER_INNER, default=inner),
        Field(f"{before}layers", f"{at}/num_hidden_layers", LAYERS, default=layers),
        Field(f"{before}heads", f"{at}/num_attention_heads", HEADS, default=heads),
        Field(f"{before}channels", f"{at}/num_channels", CHANNELS, default=3),
        Field("image", f"{at}/image_size", IMAGES, default=image),
        Field("patch", f"{at}/patch_size", PATCHES, default=patch),
    )


def text(at: str, before: str, defaults: tuple[int, int, int, int, int, int]) -> tuple[Field, ...]:
    """Return the fields of a text encoder: vocab, hidden, inner, layers, heads and positions."""
    vocab, hidden, inner, layers, heads, positions = defaults
    return (
        Field(f"{before}vocab", f"{at}/vocab_size", VOCAB, default=vocab),
        Field(f"{before}hidden", f"{at}/hidden_size", HIDDEN, default=hidden),
        Field(f"{before}inner", f"{at}/intermediate_size", INNER, default=inner),
        Field(f"{before}layers", f"{at}/num_hidden_layers", LAYERS, default=layers),
        Field(f"{before}heads", f"{at}/num_attention_heads", HEADS, default=heads),
        Field("positions", f"{at}/max_position_embeddings", (15, 25, 35, 55), default=positions),
    )


SIGLIP_VISION = (768, 3072, 12, 12, 224, 16)
SIGLIP_TEXT = (32000, 768, 3072, 12, 12, 64)
CLIP_VISION = (768, 3072, 12, 12, 224, 32)
CLIP_TEXT = (49408, 512, 2048, 12, 8, 77)
TOKENS = {"pad_token_id": 1, "bos_token_id": 2, "eos_token_id": 3}
TEXT_TOKENS = {f"/text_config/{key}": value for key, value in TOKENS.items()}
PROJECTIONS = (46, 58, 62, 74, 82, 94)

VIT_PARTS = components(
    ("embeddings", "patch embeddings", ("vit.embeddings.", "dinov2.embeddings.", "embeddings.")),
    ("layers", "encoder layers", ("vit.encoder.", "dinov2.encoder.", "encoder.", "layer.")),
    ("norm", "final norm", ("vit.layernorm.", "dinov2.layernorm.", "layernorm.", "norm.")),
    ("head", "head", ("classifier.", "pooler.", "decoder.")),
)
TWO_TOWERS = components(
    ("vision", "vision tower", ("vision_model.",)),
    ("text", "text tower", ("text_model.",)),
    ("head", "projections and scale", ("visual_projection.", "text_projection.", "logit_")),
    ("classifier", "classifier", ("classifier.",)),
)


def position_ids(prefix: str, count: str, when: str = "") -> dict[str, object]:
    """Return the block of a buffer that releases before 4.31 stored."""
    return {
        **({"when": when} if when else {}),
        "dtype": "I64",
        "optional": True,
        "shapes": {f"{prefix}position_ids": f"1, {count}"},
    }


RECIPES = (
    recipe(
        "vit",
        ("ViTModel", "ViTForImageClassification", "ViTForMaskedImageModeling"),
        (
            *VIT,
            Field("inner", "/intermediate_size", INNER, default=3072),
            QKV_BIAS,
            Field("pooled", "/pooler_output_size", (None, 46, 58, 62), default="hidden"),
            Field("stride", "/encoder_stride", (None,), default="patch"),
            *LABELS,
        ),
        derived={**GRID, **CLASSES},
        prefix="vit",
        extra={"components": VIT_PARTS},
    ),
    recipe(
        "dinov2",
        ("Dinov2Model", "Dinov2ForImageClassification", "Dinov2Backbone"),
        (
            *(one._replace(default=14) if one.name == "patch" else one for one in VIT),
            Field("ratio", "/mlp_ratio", (2, 3, 4), default=4),
            QKV_BIAS,
            Field("swiglu", "/use_swiglu_ffn", BOOLS, choice=True, default=False),
            Field("mask", "/use_mask_token", BOOLS, choice=True, default=True),
            *LABELS,
        ),
        derived={
            **GRID,
            **CLASSES,
            "inner": "int(hidden * ratio)",
            "gated": "(int(inner * 2 / 3) + 7) // 8 * 8",
        },
        prefix="dinov2",
        extra={"components": VIT_PARTS},
    ),
    recipe(
        "dinov2_with_registers",
        ("Dinov2WithRegistersModel", "Dinov2WithRegistersForImageClassification"),
        (
            *VIT,
            Field("ratio", "/mlp_ratio", (2, 3, 4), default=4),
            QKV_BIAS,
            Field("swiglu", "/use_swiglu_ffn", BOOLS, choice=True, default=False),
            Field("registers", "/num_register_tokens", (2, 4, 5, 6), default=4),
            *LABELS,
        ),
        derived={
            **GRID,
            **CLASSES,
            "inner": "int(hidden * ratio)",
            "gated": "(int(inner * 2 / 3) + 7) // 8 * 8",
        },
        prefix="dinov2_with_registers",
        extra={"components": VIT_PARTS},
    ),
    recipe(
        "dinov3_vit",
        ("DINOv3ViTModel",),
        (
            Field("hidden", "/hidden_size", HIDDEN, default=384),
            Field("layers", "/num_hidden_layers", LAYERS, default=12),
            Field("heads", "/num_attention_heads", HEADS, default=6),
            *VIT[4:],
            Field("inner", "/intermediate_size", INNER, default=1536),
            Field("registers", "/num_register_tokens", (2, 4, 5, 6)),
            *(
                Field(name, f"/{name}", BOOLS, choice=True, default=name != "key_bias")
                for name in ("query_bias", "key_bias", "value_bias", "proj_bias", "mlp_bias")
            ),
            Field("gated", "/use_gated_mlp", BOOLS, choice=True, default=False),
        ),
        extra={"components": VIT_PARTS},
    ),
    recipe(
        "siglip",
        ("SiglipModel", "SiglipForImageClassification"),
        (
            *text("/text_config", "t_", SIGLIP_TEXT),
            Field(
                "projected",
                "/text_config/projection_size",
                (None, *PROJECTIONS),
                default="t_hidden",
            ),
            *tower("/vision_config", "v_", OTHER_HIDDEN, SIGLIP_VISION),
            Field("pools", "/vision_config/vision_use_head", BOOLS, choice=True, default=True),
            *LABELS,
        ),
        derived={**GRID, **CLASSES},
        fixed=TEXT_TOKENS,
        prefix="siglip",
        extra={
            "components": TWO_TOWERS,
            "tensors": [
                position_ids("vision_model.embeddings.", "patches"),
                position_ids(
                    "text_model.embeddings.", "positions", "architecture == 'SiglipModel'"
                ),
            ],
        },
    ),
    recipe(
        "siglip_vision_model",
        ("SiglipVisionModel",),
        (
            *tower("", "", OTHER_HIDDEN, SIGLIP_VISION),
            Field("pools", "/vision_use_head", BOOLS, choice=True, default=True),
        ),
        derived=GRID,
        prefix="siglip",
        extra={
            "components": TWO_TOWERS[:1],
            "tensors": [position_ids("vision_model.embeddings.", "patches")],
        },
    ),
    recipe(
        "siglip2",
        ("Siglip2Model", "Siglip2ForImageClassification"),
        (
            *text("/text_config", "t_", SIGLIP_TEXT),
            Field(
                "projected",
                "/text_config/projection_size",
                (None, *PROJECTIONS),
                default="t_hidden",
            ),
            *(
                one
                for one in tower("/vision_config", "v_", OTHER_HIDDEN, SIGLIP_VISION)
                if one.name != "image"
            ),
            Field("patches", "/vision_config/num_patches", (4, 9, 25, 49), default=256),
            Field("pools", "/vision_config/vision_use_head", BOOLS, choice=True, default=True),
            *LABELS,
        ),
        derived={"pixels": "v_channels * patch * patch", **CLASSES},
        fixed=TEXT_TOKENS,
        prefix="siglip2",
        extra={"components": TWO_TOWERS},
    ),
    recipe(
        "clip",
        ("CLIPModel", "CLIPForImageClassification"),
        (
            *text("/text_config", "t_", CLIP_TEXT),
            *tower("/vision_config", "v_", OTHER_HIDDEN, CLIP_VISION),
            Field("projected", "/projection_dim", PROJECTIONS, default=512),
            *LABELS,
        ),
        derived={**GRID, **CLASSES},
        fixed=TEXT_TOKENS,
        prefix="clip",
        extra={
            "components": TWO_TOWERS,
            "tensors": [
                position_ids("vision_model.embeddings.", "patches + 1"),
                position_ids("text_model.embeddings.", "positions", "architecture == 'CLIPModel'"),
            ],
        },
    ),
    recipe(
        "clip_text_model",
        ("CLIPTextModel", "CLIPTextModelWithProjection"),
        (
            *text("", "", CLIP_TEXT),
            Field("projected", "/projection_dim", PROJECTIONS, default=512),
        ),
        fixed={f"/{key}": value for key, value in TOKENS.items()},
        prefix="clip",
        extra={
            "components": TWO_TOWERS[1:3],
            "tensors": [position_ids("text_model.embeddings.", "positions")],
        },
    ),
    recipe(
        "clip_vision_model",
        ("CLIPVisionModel", "CLIPVisionModelWithProjection"),
        (
            *tower("", "", OTHER_HIDDEN, CLIP_VISION),
            Field("projected", "/projection_dim", PROJECTIONS, default=512),
        ),
        derived=GRID,
        prefix="clip",
        extra={
            "components": [TWO_TOWERS[0], TWO_TOWERS[2]],
            "tensors": [position_ids("vision_model.embeddings.", "patches + 1")],
        },
    ),
)
