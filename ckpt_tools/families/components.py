"""A checkpoint's tensors by component; for GENERIC, by names that differ in numbers only."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING

from ckpt_tools.checkpoint.names import SEGMENT_LIMIT, is_index, ranges
from ckpt_tools.families.family import GENERIC
from ckpt_tools.families.registry import family_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ckpt_tools.checkpoint.model import Checkpoint, Tensor


def parts(checkpoint: Checkpoint) -> tuple[tuple[str, tuple[Tensor, ...]], ...]:
    """Return (title, tensors) of every component; each tensor is in one."""
    family = family_of(checkpoint)
    if family is GENERIC:
        return _alike(checkpoint.tensors)
    members: defaultdict[str, list[Tensor]] = defaultdict(list)
    for tensor in checkpoint.tensors:
        members[family.component(tensor.name)].append(tensor)
    return tuple(
        (component.title, tuple(members[component.key]))
        for component in family.components
        if component.key in members
    )


def _alike(tensors: Sequence[Tensor]) -> tuple[tuple[str, tuple[Tensor, ...]], ...]:
    members: defaultdict[tuple[str | None, ...], list[Tensor]] = defaultdict(list)
    for tensor in tensors:
        members[tuple(None if is_index(part) else part for part in _segments(tensor))].append(
            tensor
        )
    return tuple((_title(alike), tuple(alike)) for alike in members.values())


def _title(alike: Sequence[Tensor]) -> str:
    """Return one name for all: `layers.{0..15}.mlp.weight`."""
    columns = zip(*map(_segments, alike), strict=True)
    return ".".join(
        ranges(map(int, column)) if is_index(column[0]) else column[0] for column in columns
    )


def _segments(tensor: Tensor) -> list[str]:
    return tensor.name.split(".", SEGMENT_LIMIT)
