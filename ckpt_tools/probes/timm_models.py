"""Models of timm, by `architecture` of config.json."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import timm

from ckpt_tools.probes.building import without_memory
from ckpt_tools.probes.guard import RefusedError
from ckpt_tools.probes.state import saved_once

if TYPE_CHECKING:
    from ckpt_tools.probes.state import Held, Tensors


def tensors(folder: str, _held: Held) -> Tensors:
    """Return what timm saves for the config in `folder`, as it loads it from the Hub."""
    values = json.loads((Path(folder) / "config.json").read_text(encoding="utf-8"))
    name = str(values["architecture"]).split(".", maxsplit=1)[0]
    if not timm.is_model(name):
        raise RefusedError(f"timm {timm.__version__} does not have the model {name}")
    pretrained = values.get("pretrained_cfg") or {}
    classes = values.get("num_classes", pretrained.get("num_classes"))
    arguments = {"num_classes": classes, **(values.get("model_args") or {})}
    return saved_once(
        without_memory(lambda: timm.create_model(name, pretrained=False, **arguments))
    )
