"""What a family expects of a checkpoint: every tensor that its loader looks for, with dtype and shape."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ckpt_tools.records.checkpoint import Checkpoint
    from ckpt_tools.records.dtype import Dtype


class Expected(NamedTuple):
    """A tensor that the loader looks for: the dtype that it gives it under this config, the dtype in a normal checkpoint, and the shape.

    `shape` is None where nothing in the checkpoint tells one of its sizes.
    """

    dtype: Dtype
    normal: Dtype
    shape: tuple[int, ...] | None


class Expectation(NamedTuple):
    """What the loader looks for, by name, and what of the config decides the dtypes, in words ("load_vlm_weights true")."""

    tensors: Mapping[str, Expected]
    because: str


class Unknown(NamedTuple):
    """Nothing can be expected, and why."""

    reason: str


def nothing_expected(_checkpoint: Checkpoint) -> Expectation | Unknown:
    """Return that nothing is expected, as of a family that nobody knows."""
    return Unknown("nothing is known of its family")
