"""timm's models by architecture: all sizes but those of head, stem and positions are its own.

Other architectures have no file; `--live` asks the library about them.
"""

from __future__ import annotations

import json
import logging
import os
import tempfile
from functools import partial
from typing import TYPE_CHECKING

from tools.families.diffusers_recipes import tensors_of
from tools.families.recipe import NOTHING, Field, Recipe, Sample

if TYPE_CHECKING:
    from collections.abc import Mapping

_ARGUMENTS = ("num_classes", "in_chans", "global_pool", "img_size", "drop_rate", "drop_path_rate")
"""Arguments of a model that are described here, or change no tensor."""

_CLASSES = (0, 0, 0, 7, 11, 13, 17, 19, 23)
"""Often none: then there is no head."""
_CHANNELS = (1, 2, 3, 4, 5)


def _build(architecture: str, draws: Mapping[str, object]) -> Sample:
    """Return the model of an architecture, and its config.json as timm writes it."""
    import timm
    import torch
    from timm.models import _hub

    logging.getLogger("timm").setLevel(logging.ERROR)
    named = {"classes": "num_classes", "channels": "in_chans", "pool": "global_pool"}
    given = {named[name]: value for name, value in draws.items() if name in named}
    if "height" in draws:
        given["img_size"] = (draws["height"], draws.get("width", draws["height"]))
    with torch.device("meta"):
        model = timm.create_model(architecture, **given)
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "config.json")
        _hub.save_config_for_hf(model, path)
        with open(path, encoding="utf-8") as file:
            config = json.load(file)
    return Sample(config, tensors_of(model))


def _fields(classes: int) -> dict[str, object]:
    """Return the fields of every architecture, with its own number of classes."""
    counted = " ".join(f"- ('{name}' in arguments)" for name in _ARGUMENTS)
    return {
        "classes": {"at": "/model_args/num_classes", "default": "listed"},
        "listed": {"at": "/num_classes", "default": "pretrained"},
        "pretrained": {"at": "/pretrained_cfg/num_classes", "default": classes},
        "channels": {"at": "/model_args/in_chans", "default": "depth"},
        "depth": {"at": "/pretrained_cfg/input_size/0", "default": 3},
        "arguments": {"at": "/model_args", "default": {}},
        "other_arguments": {"is": f"len(arguments) {counted}", "values": [0]},
    }


def _recipe(
    architecture: str,
    *fields: Field,
    classes: int = 1000,
    more: Mapping[str, object] = NOTHING,
    hints: tuple[str, ...] = (),
) -> Recipe:
    return Recipe(
        "timm",
        architecture,
        (
            Field("classes", "/model_args/num_classes", _CLASSES),
            Field("channels", "/model_args/in_chans", _CHANNELS),
            *fields,
        ),
        {},
        partial(_build, architecture),
        {"fields": {**_fields(classes), **more}},
        ("classes > 0", *hints),
        16,
    )


def _vit(architecture: str, patch: int, *, pool: str = "token", classes: int = 1000) -> Recipe:
    """Return a vision transformer.

    Older releases of timm do not write the size of its images, and the loader resizes positions.
    """
    pools = (pool,) if pool == "map" else ("token", "avg")
    sizes = tuple(patch * number for number in (3, 5, 7, 8))
    return _recipe(
        architecture,
        Field("pool", "/model_args/global_pool", pools, choice=True),
        Field("height", "/model_args/img_size/0", sizes),
        Field("width", "/model_args/img_size/1", sizes),
        classes=classes,
        hints=(f"height // {patch} * (width // {patch})",),
        more={
            "pool": {"at": "/model_args/global_pool", "default": "given_pool", "values": [*pools]},
            "given_pool": {"at": "/pretrained_cfg/global_pool", "default": "written_pool"},
            "written_pool": {"at": "/global_pool", "default": f"'{pool}'"},
            "height": {"at": "/model_args/img_size/0", "default": "unwritten"},
            "width": {"at": "/model_args/img_size/1", "default": "unwritten"},
            "unwritten": {"infer": None},
        },
    )


def _swin(architecture: str) -> Recipe:
    """Return a Swin transformer, whose windows depend on the size of its images."""
    size = {"default": 224, "values": [224]}
    return _recipe(
        architecture,
        more={
            "height": {"at": "/model_args/img_size/0", **size},
            "width": {"at": "/model_args/img_size/1", **size},
            "given_height": {"at": "/pretrained_cfg/input_size/1", **size},
            "given_width": {"at": "/pretrained_cfg/input_size/2", **size},
        },
    )


_CONVOLUTIONAL = (
    *("resnet18", "resnet34", "resnet50", "resnet101", "resnet152", "wide_resnet50_2"),
    *("resnext50_32x4d", "seresnet50", "densenet121", "vgg16", "regnety_032"),
    *("convnext_tiny", "convnext_small", "convnext_base", "convnext_large", "convnextv2_tiny"),
    *("efficientnet_b0", "tf_efficientnetv2_s", "mobilenetv2_100"),
    *("mobilenetv3_small_100", "mobilenetv3_large_100"),
)
RECIPES = (
    *(_recipe(name) for name in _CONVOLUTIONAL),
    *(_vit(f"vit_{size}_patch16_224", 16) for size in ("tiny", "small", "base", "large")),
    _vit("vit_base_patch32_224", 32),
    _vit("vit_base_patch16_384", 16),
    _vit("vit_base_patch16_clip_224", 16, classes=512),
    _vit("vit_large_patch14_clip_224", 14, classes=768),
    *(_vit(f"vit_{size}_patch14_dinov2", 14, classes=0) for size in ("small", "base", "large")),
    _vit("vit_base_patch14_reg4_dinov2", 14, classes=0),
    _vit("vit_base_patch16_siglip_224", 16, pool="map", classes=0),
    _vit("vit_so400m_patch14_siglip_384", 14, pool="map", classes=0),
    _swin("swin_tiny_patch4_window7_224"),
    _swin("swin_base_patch4_window7_224"),
)
