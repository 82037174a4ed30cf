"""A lockfile: names, dtypes and shapes that a checkpoint has to have."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from ckpt_tools.records.dtype import Dtype


class Spec(NamedTuple):
    """(dtype, shape) of every tensor by name, and what the file says of itself: the checkpoint it was written from."""

    written_from: str
    tensors: tuple[tuple[str, Dtype, tuple[int, ...]], ...]
