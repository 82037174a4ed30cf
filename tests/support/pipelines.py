"""A small diffusers pipeline, and a small sentence-transformers model with a Dense module."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from tests.support.models import model

if TYPE_CHECKING:
    from pathlib import Path

UNET = "diffusion_pytorch_model.safetensors"


def pipeline(folder: Path, **components: list[str | None] | bool) -> Path:
    """Write a pipeline of a U-Net, a text encoder, a scheduler, a tokenizer, without a checker.

    `components` are added to model_index.json.
    """
    listed: dict[str, object] = {
        "_class_name": "StableDiffusionPipeline",
        "unet": ["diffusers", "UNet2DConditionModel"],
        "text_encoder": ["transformers", "CLIPTextModel"],
        "scheduler": ["diffusers", "DDIMScheduler"],
        "tokenizer": ["transformers", "CLIPTokenizer"],
        "safety_checker": [None, None],
        "requires_safety_checker": False,
        **components,
    }
    folder.mkdir(parents=True)
    (folder / "model_index.json").write_text(json.dumps(listed))
    shapes = {"conv_in.weight": (8, 4, 3, 3), "conv_in.bias": (8,)}
    model(folder / "unet", shapes, {"config.json": unet()}, file=UNET)
    model(
        folder / "text_encoder",
        {"text_model.final_layer_norm.weight": (8,)},
        {"config.json": {"architectures": ["CLIPTextModel"], "model_type": "clip_text_model"}},
    )
    for name in ("scheduler", "tokenizer"):
        (folder / name).mkdir()
        (folder / name / f"{name}_config.json").write_text("{}")
    return folder


def unet() -> dict[str, object]:
    """The config of the U-Net."""
    return {"_class_name": "UNet2DConditionModel", "in_channels": 4}


def sentence_model(folder: Path) -> Path:
    """Write a Transformer in the folder itself, and pooling and a Dense module below."""
    modules = [("", "Transformer"), ("1_Pooling", "Pooling"), ("2_Dense", "Dense")]
    model(
        folder,
        {"embeddings.word_embeddings.weight": (16, 8)},
        {
            "config.json": {"architectures": ["BertModel"], "model_type": "bert"},
            "modules.json": [
                {
                    "idx": at,
                    "name": str(at),
                    "path": path,
                    "type": f"sentence_transformers.models.{kind}",
                }
                for at, (path, kind) in enumerate(modules)
            ],
        },
    )
    (folder / "1_Pooling").mkdir()
    (folder / "1_Pooling" / "config.json").write_text('{"pooling_mode_mean_tokens": true}')
    model(folder / "2_Dense", {"linear.weight": (4, 8)}, {"config.json": {"in_features": 8}})
    return folder
