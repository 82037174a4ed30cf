"""Check that a folder just written is a clean SmolVLA checkpoint.

The only use of ckpt_tools in training.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import torch

from ckpt_tools import api
from ckpt_tools.families.smolvla.facts import SMOLVLA
from ckpt_tools.strict_json.pointer import ABSENT

_LABELS = {torch.bfloat16: "BF16", torch.float16: "F16", torch.float32: "F32", torch.float64: "F64"}


def faults(folder: Path, expected: Mapping[str, tuple[torch.dtype, tuple[int, ...]]]) -> list[str]:
    """What is wrong with the checkpoint in `folder`, as phrases; empty when it is clean.

    Compares with `expected`, (dtype, shape) by tensor name, requires type smolvla, and applies the
    family's criteria to the config keys that break a distilled checkpoint. Reads only headers and
    configs. Raises CkptError when the folder cannot be read.
    """
    checkpoint = api.read(str(folder))
    saved = {tensor.name: f"{tensor.dtype} {list(tensor.shape)}" for tensor in checkpoint.tensors}
    wanted = {name: f"{_LABELS[dtype]} {list(shape)}" for name, (dtype, shape) in expected.items()}
    return [
        *(f"unexpected tensor {name}" for name in sorted(saved.keys() - wanted.keys())),
        *(f"missing tensor {name}" for name in sorted(wanted.keys() - saved.keys())),
        *(
            f"tensor {name} is {saved[name]} instead of {wanted[name]}"
            for name in sorted(saved.keys() & wanted.keys())
            if saved[name] != wanted[name]
        ),
        *_config_faults(
            document.value if (document := checkpoint.document("config.json")) else None
        ),
    ]


def _config_faults(config: Mapping[str, Any] | None) -> Iterator[str]:
    if config is None:
        yield "config.json is missing"
        return
    if config.get("type") != "smolvla":
        yield f"config.json has type {config.get('type')!r}"
    for watched in SMOLVLA.watched:
        fine, consequence = watched.evaluate(config.get(watched.key, ABSENT))
        if not fine:
            yield f"config.json {watched.key}: {consequence}"
