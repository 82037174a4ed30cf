"""What a look at the payload of weight files tells: zeros at the end, two sets of weights alike."""

from __future__ import annotations

import os
from contextlib import ExitStack
from typing import TYPE_CHECKING, NamedTuple

from ckpt_tools.checkpoint.documents import WEIGHTS, WEIGHTS_INDEX
from ckpt_tools.checkpoint.locate import Location
from ckpt_tools.checkpoint.read import read_at
from ckpt_tools.errors import CkptError
from ckpt_tools.storage.storage import LOCAL

if TYPE_CHECKING:
    from ckpt_tools.checkpoint.model import Checkpoint, Tensor, TensorFile
    from ckpt_tools.storage.storage import ReadableFile

_PIECE = 1 << 20
CHEAP = 64 << 20
"""Bytes of weights up to which values are compared without --values."""


class SecondSet(NamedTuple):
    """Shards with an index beside model.safetensors, compared with it.

    `are_there`: they can be read. `unlike` tensors are in one of the two alone, or of another dtype
    or shape; `changed` have other values, None if values were not compared.
    """

    are_there: bool
    unlike: int = 0
    changed: int | None = None


def zero_tail(root: str, file: TensorFile) -> int:
    """Return the number of zero bytes at the end of a file's payload. Reads them alone."""
    with LOCAL.open(os.path.join(root, file.path)) as opened:
        end = opened.size
        while end > file.payload_start:
            start = max(file.payload_start, end - _PIECE)
            left = len(opened.read(end - start, start).rstrip(b"\0"))
            if left:
                return opened.size - start - left
            end = start
        return opened.size - file.payload_start


def second_set(checkpoint: Checkpoint, *, values: bool) -> SecondSet | None:
    """Compare model.safetensors of a local folder with the shards of an index beside it.

    None where there are not both. Values are read if asked for, or if they are few.
    """
    beside = any(file.path == WEIGHTS_INDEX for file in checkpoint.others)
    if [file.path for file in checkpoint.weights] != [WEIGHTS] or not beside:
        return None
    place = Location(checkpoint.root, (), (), WEIGHTS_INDEX)
    try:
        other = read_at(place, checkpoint.root)
    except CkptError:
        return SecondSet(are_there=False)
    if not other.tensors:
        return SecondSet(are_there=False)
    mine = {tensor.name: tensor for tensor in checkpoint.tensors}
    pairs = [(mine[one.name], one) for one in other.tensors if one.name in mine]
    alike = [(a, b) for a, b in pairs if (a.dtype, a.shape) == (b.dtype, b.shape)]
    unlike = len(mine.keys() | {one.name for one in other.tensors}) - len(alike)
    if not values and checkpoint.size > CHEAP:
        return SecondSet(are_there=True, unlike=unlike)
    return SecondSet(are_there=True, unlike=unlike, changed=_changed(checkpoint, other, alike))


def _changed(one: Checkpoint, other: Checkpoint, pairs: list[tuple[Tensor, Tensor]]) -> int:
    with ExitStack() as stack:
        starts: dict[str, tuple[ReadableFile, int]] = {
            file.path: (
                stack.enter_context(LOCAL.open(os.path.join(one.root, file.path))),
                file.payload_start,
            )
            for file in (*one.weights, *other.weights)
        }
        return sum(_differ(a, b, starts) for a, b in pairs)


def _differ(a: Tensor, b: Tensor, starts: dict[str, tuple[ReadableFile, int]]) -> bool:
    (left, at), (right, there) = starts[a.shard], starts[b.shard]
    for done in range(0, a.nbytes, _PIECE):
        length = min(_PIECE, a.nbytes - done)
        if left.read(length, at + a.start + done) != right.read(length, there + b.start + done):
            return True
    return False
