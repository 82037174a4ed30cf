"""Everything the training core asks of ckpt_tools.

Whether a folder just written is a clean SmolVLA checkpoint.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import torch

from ckpt_tools import api
from ckpt_tools.families.smolvla.facts import SMOLVLA
from ckpt_tools.strict_json.pointer import ABSENT

_LABELS = {torch.bfloat16: "BF16", torch.float16: "F16", torch.float32: "F32", torch.float64: "F64"}

Expected = Mapping[str, tuple[torch.dtype, tuple[int, ...]]]
"""Tensor name -> (dtype, shape)."""


def faults(folder: Path, expected: Expected) -> list[str]:
    """What is wrong with the checkpoint in `folder`, as phrases; empty for a clean one.

    Compares names, dtypes and shapes with `expected`, wants type smolvla, and lets the family judge
    the config keys by which a distilled checkpoint goes wrong. Reads headers and configs only.
    Raises a CkptError when the folder cannot be read at all.
    """
    checkpoint = api.read(str(folder))
    stored = {
        tensor.name: (str(tensor.dtype), tuple(tensor.shape)) for tensor in checkpoint.tensors
    }
    wanted = {name: (_LABELS[dtype], tuple(shape)) for name, (dtype, shape) in expected.items()}
    found = [f"tensor {name} is not a SmolVLA's" for name in sorted(stored.keys() - wanted.keys())]
    found += [f"tensor {name} is missing" for name in sorted(wanted.keys() - stored.keys())]
    for name in sorted(stored.keys() & wanted.keys()):
        if stored[name] != wanted[name]:
            found.append(
                f"tensor {name} is {_spell(stored[name])} and should be {_spell(wanted[name])}"
            )
    return found + _config_faults(checkpoint.document("config.json"))


def _config_faults(document: object) -> list[str]:
    config = getattr(document, "value", None)
    if config is None:
        return ["config.json is missing"]
    found = (
        [] if config.get("type") == "smolvla" else [f"config.json has type {config.get('type')!r}"]
    )
    for watched in SMOLVLA.watched:
        fine, consequence = watched.judge(config.get(watched.key, ABSENT))
        if not fine:
            found.append(f"config.json {watched.key}: {consequence}")
    return found


def _spell(tensor: tuple[str, tuple[int, ...]]) -> str:
    dtype, shape = tensor
    return f"{dtype} {list(shape)}"
