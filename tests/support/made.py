"""What tests of comparison share: checkpoints made in memory from names and shapes."""

from __future__ import annotations

from math import prod
from typing import TYPE_CHECKING

import pytest

from ckpt_tools.checkpoint.dtype import Dtype
from ckpt_tools.checkpoint.model import Checkpoint, Tensor, TensorFile

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

type NamedShapes = Iterable[tuple[str, tuple[int, ...]]]


def _checkpoint(named: NamedShapes, dtype: Dtype = Dtype.F32) -> Checkpoint:
    tensors: list[Tensor] = []
    start = 0
    for name, shape in named:
        end = start + prod(shape) * dtype.bits // 8
        tensors.append(Tensor(name, dtype, shape, "model.safetensors", start, end))
        start = end
    file = TensorFile(
        path="model.safetensors",
        size=8 + start,
        payload_start=8,
        tensors=tuple(tensors),
        metadata=None,
    )
    return Checkpoint(where="somewhere", root="somewhere", weights=(file,))


@pytest.fixture(scope="session")
def made() -> Callable[..., Checkpoint]:
    """Return a function that makes a checkpoint of one dtype from (name, shape) pairs."""
    return _checkpoint
