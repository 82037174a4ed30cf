"""diffusers' models by class: templates written by hand, proved on models of random configs.

Their structure is in lists of config.json (blocks, channels, layers), which no formula over single
numbers has. `build` draws all of a config from one number.
"""

from __future__ import annotations

import json
import random
from typing import TYPE_CHECKING, Any

from tools.families.diffusers_autoencoders import OLD_NAMES, autoencoder_kl, vq_model
from tools.families.diffusers_transformers import flux, sd3
from tools.families.diffusers_unet import controlnet, unet
from tools.families.recipe import Field, Recipe, Sample

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

type Config = dict[str, Any]
"""Arguments of a model's constructor. Any: each class has its own."""

_CROSS = "CrossAttn"


def _blocks(draw: random.Random, side: str, most: int = 4) -> list[str]:
    return [f"{draw.choice(['', _CROSS])}{side}Block2D" for _ in range(most)]


def _conditioned(draw: random.Random) -> Config:
    """Return what a U-Net and a ControlNet have in common."""
    count = draw.choice([1, 2, 3, 3, 4, 4])
    down = _blocks(draw, "Down", count)
    config: Config = {
        "block_out_channels": [8 * draw.randint(1, 6) for _ in down],
        "down_block_types": down,
        "norm_num_groups": 4,
        "attention_head_dim": 4,
        "in_channels": draw.randint(3, 9),
        "layers_per_block": draw.randint(1, 3),
        "cross_attention_dim": draw.randint(5, 40),
        "use_linear_projection": draw.choice([False, True]),
        "resnet_time_scale_shift": draw.choice(["default", "default", "scale_shift"]),
        "only_cross_attention": draw.choice([False, True, [draw.choice([False, True])] * count]),
        "transformer_layers_per_block": draw.choice(
            [1, 2, 3, [draw.randint(1, 4) for _ in range(count)]]
        ),
    }
    kind = draw.choice([None, None, "timestep", "projection"])
    config["class_embed_type"] = kind
    if kind is None:
        config["num_class_embeds"] = draw.choice([None, draw.randint(2, 9)])
    if draw.random() < 1 / 3:
        config |= {"addition_embed_type": "text_time", "addition_time_embed_dim": 6}
    if kind or "addition_embed_type" in config:
        config["projection_class_embeddings_input_dim"] = draw.randint(20, 70)
    if draw.random() < 1 / 4:
        config |= {"encoder_hid_dim": draw.randint(10, 40), "encoder_hid_dim_type": "text_proj"}
    return config


def _unet(draw: random.Random) -> Config:
    config = _conditioned(draw)
    count = len(config["block_out_channels"])
    middles = ["UNetMidBlock2DCrossAttn", "UNetMidBlock2DCrossAttn", "UNetMidBlock2D", None]
    config |= {
        "up_block_types": _blocks(draw, "Up", count),
        "mid_block_type": draw.choice(middles),
        "out_channels": draw.randint(3, 9),
        "conv_in_kernel": draw.choice([1, 3, 3, 5]),
        "conv_out_kernel": draw.choice([1, 3, 3, 5]),
        "time_embedding_dim": draw.choice([None, None, 48]),
        "time_cond_proj_dim": draw.choice([None, 20]),
        "class_embeddings_concat": draw.choice([False, False, True]),
    }
    if not config["class_embed_type"] and not config.get("num_class_embeds"):
        config["class_embeddings_concat"] = False
    if draw.random() < 1 / 6:
        config |= {
            "class_embed_type": "simple_projection",
            "num_class_embeds": None,
            "projection_class_embeddings_input_dim": draw.randint(20, 70),
        }
    return config


def _controlnet(draw: random.Random) -> Config:
    return _conditioned(draw) | {
        "mid_block_type": draw.choice(["UNetMidBlock2DCrossAttn", "UNetMidBlock2D"]),
        "conditioning_channels": draw.randint(1, 5),
        "conditioning_embedding_out_channels": [
            draw.randint(4, 20) for _ in range(draw.randint(2, 5))
        ],
    }


def _autoencoder(draw: random.Random) -> Config:
    channels = [4 * draw.randint(1, 6) for _ in range(draw.randint(1, 6))]
    return {
        "block_out_channels": channels,
        "down_block_types": ["DownEncoderBlock2D"] * len(channels),
        "up_block_types": ["UpDecoderBlock2D"] * len(channels),
        "norm_num_groups": 4,
        "layers_per_block": draw.randint(1, 3),
        "latent_channels": draw.randint(2, 17),
        "in_channels": draw.randint(1, 5),
        "out_channels": draw.randint(1, 5),
        "mid_block_add_attention": draw.choice([True, False]),
    }


def _autoencoder_kl(draw: random.Random) -> Config:
    return _autoencoder(draw) | {
        "use_quant_conv": draw.choice([True, False]),
        "use_post_quant_conv": draw.choice([True, False]),
    }


def _vq_model(draw: random.Random) -> Config:
    return _autoencoder(draw) | {
        "num_vq_embeddings": draw.randint(7, 40),
        "vq_embed_dim": draw.choice([None, draw.randint(2, 9)]),
    }


def _transformer(draw: random.Random) -> Config:
    return {
        "patch_size": draw.randint(1, 3),
        "in_channels": draw.randint(3, 20),
        "out_channels": draw.choice([None, draw.randint(3, 20)]),
        "num_layers": draw.randint(1, 4),
        "attention_head_dim": 6,
        "num_attention_heads": draw.randint(1, 5),
        "joint_attention_dim": draw.randint(7, 60),
        "pooled_projection_dim": draw.randint(7, 60),
    }


def _flux(draw: random.Random) -> Config:
    return _transformer(draw) | {
        "num_single_layers": draw.randint(0, 4),
        "guidance_embeds": draw.choice([True, False]),
        "axes_dims_rope": [2, 2, 2],
        "attention_head_dim": draw.choice([6, 10]),
    }


def _sd3(draw: random.Random) -> Config:
    config = _transformer(draw)
    layers = range(config["num_layers"])
    return config | {
        "sample_size": 6,
        "attention_head_dim": draw.choice([4, 8, 12]),
        "caption_projection_dim": draw.randint(7, 60),
        "pos_embed_max_size": draw.randint(4, 9),
        "dual_attention_layers": [i for i in layers if draw.random() < 1 / 2],
        "qk_norm": draw.choice([None, "rms_norm"]),
    }


def tensors_of(model: Any) -> dict[str, tuple[str, tuple[int, ...]]]:
    """Return dtype and shape of a model's tensors by name. Any: a torch module."""
    import torch

    labels = {torch.float32: "F32", torch.int64: "I64", torch.bool: "BOOL"}
    return {
        name: (labels[tensor.dtype], tuple(tensor.shape))
        for name, tensor in model.state_dict().items()
    }


def build(name: str, config: Config, absent: random.Random | None = None) -> Sample:
    """Return the model of the class `name` with these arguments.

    With `absent`, some keys are taken out of its config.json whose default was used.
    """
    import diffusers
    import torch

    with torch.device("meta"):
        model = getattr(diffusers, name)(**config)
    written = json.loads(model.to_json_string())
    if absent:
        written = {k: v for k, v in written.items() if k in config or absent.random() < 1 / 2}
    tensors = tensors_of(model)
    return Sample(written | {"_class_name": name}, tensors, tuple(_old_names(tensors)))


def _old_names(tensors: Mapping[str, object]) -> Iterator[tuple[str, ...]]:
    """Yield the pairs of names of which files have one."""
    for name in tensors:
        if "mid_block.attentions." in name and name.startswith(("encoder.", "decoder.")):
            module, leaf = name.rsplit(".", 1)
            for new, old in OLD_NAMES.items():
                if module.endswith(f".{new}"):
                    yield name, f"{module.removesuffix(new)}{old}.{leaf}"


def _recipe(
    name: str, written: dict[str, object], draw: Callable[[random.Random], Config]
) -> Recipe:
    def built(draws: Mapping[str, object]) -> Sample:
        source = random.Random(str(draws["seed"]))  # noqa: S311 - no secret
        config = draw(source)
        kept = {key: value for key, value in config.items() if source.random() < 7 / 8}
        try:
            return build(name, kept, source)
        except Exception:  # noqa: BLE001 - blocks and channels, for example, go together
            return build(name, config, source)

    return Recipe(
        "diffusers", name, (Field("seed", "", range(1_000_000)),), {}, built, extra=written
    )


RECIPES = (
    _recipe("UNet2DConditionModel", unet(), _unet),
    _recipe("ControlNetModel", controlnet(), _controlnet),
    _recipe("AutoencoderKL", autoencoder_kl(), _autoencoder_kl),
    _recipe("VQModel", vq_model(), _vq_model),
    _recipe("FluxTransformer2DModel", flux(), _flux),
    _recipe("SD3Transformer2DModel", sd3(), _sd3),
)
