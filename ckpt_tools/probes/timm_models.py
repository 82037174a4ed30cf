"""Models of timm, by `architecture` of config.json."""

from __future__ import annotations

import importlib
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ckpt_tools.probes.building import without_memory
from ckpt_tools.probes.guard import RefusedError
from ckpt_tools.probes.state import saved_once

if TYPE_CHECKING:
    from ckpt_tools.probes.state import Held, Tensors


def tensors(folder: str, _held: Held) -> Tensors:
    """Return what timm saves for the config in `folder`, as it loads it from the Hub."""
    timm = importlib.import_module("timm")
    values = json.loads((Path(folder) / "config.json").read_text(encoding="utf-8"))
    name = str(values["architecture"])
    if not timm.is_model(name.split(".")[0]):
        raise RefusedError(f"timm {timm.__version__} does not have the model {name}")
    arguments: dict[str, Any] = dict(values.get("model_args") or {})
    pretrained = values.get("pretrained_cfg") or {}
    for key in ("num_classes",):
        number = values.get(key, pretrained.get(key))
        if number is not None:
            arguments.setdefault(key, number)
    return saved_once(
        without_memory(
            lambda: timm.create_model(name.split(".")[0], pretrained=False, **arguments)
        )
    )
