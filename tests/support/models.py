"""Small checkpoints of any family: tensors by name and shape, and the JSON files around them.

Values are deterministic, differ from tensor to tensor, and are those of no fault: spread around 0.
"""

from __future__ import annotations

import json
import zlib
from math import prod
from typing import TYPE_CHECKING

import numpy as np

from ckpt_tools.checkpoint.dtype import Dtype
from tests.support.checkpoints import weights

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

type Shapes = Mapping[str, tuple[int, ...] | tuple[Dtype, tuple[int, ...]]]
"""Shapes by tensor name; F32 where no dtype is given."""


def model(
    folder: Path,
    shapes: Shapes,
    documents: Mapping[str, object] | None = None,
    *,
    file: str = "model.safetensors",
) -> Path:
    """Write a weight file and JSON documents by name into `folder`, and return it."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / file).write_bytes(weights({name: _tensor(name, one) for name, one in shapes.items()}))
    for name, value in (documents or {}).items():
        (folder / name).write_text(json.dumps(value, indent=2), encoding="utf-8")
    return folder


def _tensor(
    name: str, given: tuple[int, ...] | tuple[Dtype, tuple[int, ...]]
) -> tuple[Dtype, tuple[int, ...], bytes]:
    dtype, shape = given if given and isinstance(given[0], Dtype) else (Dtype.F32, given)
    return dtype, shape, payload(name, dtype, prod(shape))


def payload(name: str, dtype: Dtype, count: int) -> bytes:
    """Return `count` values of a tensor; integers and 8-bit floats are small positive numbers."""
    rng = np.random.default_rng(zlib.crc32(name.encode()))
    numbers = rng.normal(0.0, 0.1, count).astype("<f4")
    if dtype is Dtype.F32:
        return numbers.tobytes()
    if dtype is Dtype.BF16:
        return (numbers.view("<u4") >> 16).astype("<u2").tobytes()
    if dtype in (Dtype.F16, Dtype.F64):
        return numbers.astype("<f2" if dtype is Dtype.F16 else "<f8").tobytes()
    return (np.arange(count * dtype.bits // 8) % 50 + 1).astype("u1").tobytes()
