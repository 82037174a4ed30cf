"""StableDiffusionSafetyChecker: a model of transformers' kind that is only in diffusers.

Its config.json says `clip`; `architectures` tells it from CLIP.
"""

from __future__ import annotations

import json
import random
from typing import TYPE_CHECKING

from tools.families.diffusers_blocks import Shapes, affine, components, linear
from tools.families.diffusers_recipes import tensors_of
from tools.families.recipe import Field, Recipe, Sample

if TYPE_CHECKING:
    from collections.abc import Mapping

_NAME = "StableDiffusionSafetyChecker"
_VISION = "vision_model.vision_model"


def _fields() -> dict[str, object]:
    sizes = {
        "hidden": ("hidden_size", 768),
        "inner": ("intermediate_size", 3072),
        "layers": ("num_hidden_layers", 12),
        "image": ("image_size", 224),
        "patch": ("patch_size", 32),
        "channels": ("num_channels", 3),
    }
    return {
        "projection": {"at": "/projection_dim", "default": 512},
        **{n: {"at": f"/vision_config/{key}", "default": d} for n, (key, d) in sizes.items()},
        "positions": {"is": "(image // patch) * (image // patch) + 1"},
    }


def _tensors() -> list[dict[str, object]]:
    layer = f"{_VISION}.encoder.layers.{{i<layers}}"
    attention: Shapes = {}
    for name in ("q_proj", "k_proj", "v_proj", "out_proj"):
        attention |= linear(f"{layer}.self_attn.{name}", "hidden", "hidden")
    shapes: Shapes = {
        "concept_embeds": "17, projection",
        "concept_embeds_weights": "17",
        "special_care_embeds": "3, projection",
        "special_care_embeds_weights": "3",
        **linear("visual_projection", "projection", "hidden", bias=False),
        f"{_VISION}.embeddings.class_embedding": "hidden",
        f"{_VISION}.embeddings.patch_embedding.weight": "hidden, channels, patch, patch",
        f"{_VISION}.embeddings.position_embedding.weight": "positions, hidden",
        **affine(f"{_VISION}.pre_layrnorm", "hidden"),
        **affine(f"{_VISION}.post_layernorm", "hidden"),
        **affine(f"{layer}.layer_norm1", "hidden"),
        **affine(f"{layer}.layer_norm2", "hidden"),
        **linear(f"{layer}.mlp.fc1", "inner", "hidden"),
        **linear(f"{layer}.mlp.fc2", "hidden", "inner"),
        **attention,
    }
    stored_before = {f"{_VISION}.embeddings.position_ids": "1, positions"}
    return [{"shapes": shapes}, {"optional": True, "dtype": "I64", "shapes": stored_before}]


def _build(draws: Mapping[str, object]) -> Sample:
    import torch
    import transformers
    from diffusers.pipelines.stable_diffusion import safety_checker

    draw = random.Random(str(draws["seed"]))  # noqa: S311 - no secret
    patch = draw.randint(2, 5)
    vision = {
        "hidden_size": 4 * draw.randint(2, 9),
        "num_attention_heads": 4,
        "intermediate_size": draw.randint(10, 60),
        "num_hidden_layers": draw.randint(1, 4),
        "patch_size": patch,
        "image_size": patch * draw.randint(2, 6) + draw.randint(0, 1),
        "num_channels": draw.randint(1, 4),
    }
    kept = {key: value for key, value in vision.items() if draw.random() < 7 / 8}
    if "hidden_size" not in kept:
        del kept["num_attention_heads"]
    config = transformers.CLIPConfig(vision_config=kept, projection_dim=draw.randint(5, 40))
    with torch.device("meta"):
        model = safety_checker.StableDiffusionSafetyChecker(config)
    return Sample(
        json.loads(model.config.to_json_string()) | {"architectures": [_NAME]}, tensors_of(model)
    )


_PARTS = (("vision", "vision model", "vision_model. visual_projection."),)
RECIPES = (
    Recipe(
        "diffusers",
        _NAME,
        (Field("seed", "", range(1_000_000)),),
        {},
        _build,
        {
            "fields": _fields(),
            "tensors": _tensors(),
            "components": components(
                *_PARTS, ("concepts", "concepts", "concept_embeds special_care_embeds")
            ),
        },
    ),
)
