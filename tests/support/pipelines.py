"""A small diffusers pipeline, and a small sentence-transformers model with a Dense module.

Each component has all tensors that its config.json asks for.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import numpy as np

from ckpt_tools.families.expected import expected
from ckpt_tools.families.family import Expectation
from ckpt_tools.families.family_file import load
from tests.support.checkpoints import weights
from tests.support.damage import read_tensors
from tests.support.models import model

if TYPE_CHECKING:
    from pathlib import Path

    from tests.support.models import Shapes

UNET = "diffusion_pytorch_model.safetensors"
UNET_CONFIG: dict[str, Any] = {
    "_class_name": "UNet2DConditionModel",
    "block_out_channels": [8, 16],
    "down_block_types": ["DownBlock2D", "CrossAttnDownBlock2D"],
    "up_block_types": ["CrossAttnUpBlock2D", "UpBlock2D"],
    "layers_per_block": 1,
    "cross_attention_dim": 8,
    "attention_head_dim": 4,
    "norm_num_groups": 4,
    "in_channels": 4,
}
_SIZES = {"vocab_size": 16, "hidden_size": 8, "intermediate_size": 12, "num_hidden_layers": 2}
TEXT_CONFIG = {"architectures": ["CLIPTextModel"], "model_type": "clip_text_model", **_SIZES}
BERT_CONFIG = {"architectures": ["BertModel"], "model_type": "bert", **_SIZES}
DENSE_CONFIG = {
    "in_features": 8,
    "out_features": 4,
    "bias": True,
    "activation_function": "torch.nn.modules.linear.Identity",
}


def shapes_of(library: str, key: str, config: dict[str, Any]) -> Shapes:
    """Return dtype and shape of all tensors of a model of this config by name."""
    file = load(library, key)
    found = expected(file, config) if file else None
    assert isinstance(found, Expectation)
    return {name: (one.dtype, one.shape or ()) for name, one in found.tensors.items()}


def unet() -> Shapes:
    """Return the tensors of the U-Net."""
    return shapes_of("diffusers", "UNet2DConditionModel", UNET_CONFIG)


def put_nan(path: Path) -> None:
    """Make one value of the first tensor of a file NaN."""
    tensors = read_tensors(path)
    name = min(tensors)
    dtype, shape, payload = tensors[name]
    tensors[name] = (dtype, shape, np.array([np.nan], "<f4").tobytes() + payload[4:])
    path.write_bytes(weights(tensors, {"format": "pt"}))


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
    model(folder / "unet", unet(), {"config.json": UNET_CONFIG}, file=UNET)
    text = shapes_of("transformers", "clip_text_model", TEXT_CONFIG)
    model(folder / "text_encoder", text, {"config.json": TEXT_CONFIG})
    for name in ("scheduler", "tokenizer"):
        (folder / name).mkdir()
        (folder / name / f"{name}_config.json").write_text("{}")
    return folder


def sentence_model(folder: Path) -> Path:
    """Write a Transformer in the folder itself, and pooling and a Dense module below."""
    modules = [("", "Transformer"), ("1_Pooling", "Pooling"), ("2_Dense", "Dense")]
    model(
        folder,
        shapes_of("transformers", "bert", BERT_CONFIG),
        {
            "config.json": BERT_CONFIG,
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
    dense = {"linear.weight": (4, 8), "linear.bias": (4,)}
    model(folder / "2_Dense", dense, {"config.json": DENSE_CONFIG})
    return folder
