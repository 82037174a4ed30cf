"""Models of diffusers, by `_class_name` of config.json."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import diffusers

from ckpt_tools.probes.building import without_memory
from ckpt_tools.probes.guard import RefusedError
from ckpt_tools.probes.state import saved_once

_ATTENTION = {"query": "to_q", "key": "to_k", "value": "to_v", "proj_attn": "to_out.0"}

if TYPE_CHECKING:
    from ckpt_tools.probes.state import Held, Tensors


def tensors(folder: str, held: Held) -> Tensors:
    """Return what `save_pretrained` writes for the config in `folder`."""
    values = json.loads((Path(folder) / "config.json").read_text(encoding="utf-8"))
    model: Any = getattr(diffusers, str(values["_class_name"]), None)
    if not _is_model(model):
        raise RefusedError(
            f"diffusers {diffusers.__version__} does not have the model {values['_class_name']}"
        )
    found = saved_once(without_memory(lambda: model.from_config(values)))
    reads = {name: _older(name) for name in held if name not in found.tensors}
    return found._replace(
        reads={name: [new] for name, new in reads.items() if new in found.tensors}
    )


def _older(name: str) -> str:
    """Return the name that the loader gives a tensor of an older release's attention."""
    for old, new in _ATTENTION.items():
        name = re.sub(rf"(\battentions\.\d+)\.{old}\.", rf"\1.{new}.", name)
    return name


def _is_model(found: object) -> bool:
    return isinstance(found, type) and issubclass(found, diffusers.ModelMixin)
