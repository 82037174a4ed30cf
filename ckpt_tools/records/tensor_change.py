"""What changed in the values of tensors that two checkpoints, A and B, have in common: the nouns behind `ckpt diff --values`.

Sizes of a change leave out elements at which either side is NaN or infinite; those are counted instead. A NaN equals a NaN, an infinity the same infinity,
and -0.0 equals 0.0.
"""

from __future__ import annotations

from enum import StrEnum
from math import inf
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from ckpt_tools.records.checkpoint import Tensor


class Sameness(StrEnum):
    """How alike the values of a tensor in A and of its partner in B are."""

    IDENTICAL = "identical"
    """The same bytes, of the same dtype."""
    EQUAL = "equal"
    """The same values in other bits: another dtype, -0.0 for 0.0, another NaN."""
    CLOSE = "close"
    """Other values, by no more than the tolerance."""
    CHANGED = "changed"


class PairFacts(NamedTuple):
    """What one pass over two tensors of one shape tells. `same_bytes` is also true of tensors whose bytes are known to be equal without a look.

    `changed` counts the elements whose values differ, `broken` those among them where a side is NaN or infinite. `max_abs` is the largest |b - a|, `l2_a`,
    `l2_b` and `l2_change` are the norms of a, b and b - a, `cosine` that of the angle between a and b, all over the elements that are finite on both sides.
    The norms are 0 where the bytes are the same: nobody looked. A norm that no double holds is infinite; `rel_l2_of_huge` then is what it was needed for.
    """

    elements: int
    same_bytes: bool
    changed: int = 0
    broken: int = 0
    max_abs: float = 0.0
    l2_a: float = 0.0
    l2_b: float = 0.0
    l2_change: float = 0.0
    cosine: float = 1.0
    rel_l2_of_huge: float = 0.0

    @property
    def rel_l2(self) -> float:
        """||b - a|| / ||a||; infinite where a is all zeros and b is not."""
        if inf in (self.l2_change, self.l2_a):
            return self.rel_l2_of_huge
        if self.l2_change == 0:
            return 0.0
        return self.l2_change / self.l2_a if self.l2_a else inf


class TensorChange(NamedTuple):
    """A tensor in A and its partner in B, of the same shape: the part of the model and the layer they belong to, and how they differ."""

    a: Tensor
    b: Tensor
    component: str
    layer: str
    sameness: Sameness
    facts: PairFacts


class LayerChange(NamedTuple):
    """What changed in one layer of a component, or in a whole component (`layer` ""). `layer` is a number, or "other" for tensors of no layer.

    `tensors` were compared. Of these `identical` have the same bytes, `equal` the same values in other bits, `close` values within the tolerance; the rest
    changed. `low` and `high` are the smallest and the largest relative L2 norm of the change, ||b - a|| / ||a||, and `max_abs` the largest |b - a|, of the
    tensors that changed (where none did, of those that are close), 0 where there is none. `high` is infinite where a tensor of zeros has become something
    else. `broken` counts values that are NaN or infinite on one side and something else on the other. `trains` says whether the config lets the component
    train, None where that is unknown.
    """

    component: str
    title: str
    layer: str
    trains: bool | None
    tensors: int
    identical: int
    equal: int
    close: int
    low: float
    high: float
    max_abs: float
    broken: int

    @property
    def changed(self) -> int:
        """Tensors that are neither identical nor equal nor close."""
        return self.tensors - self.identical - self.equal - self.close

    @property
    def moved(self) -> bool:
        """Whether a part that the config freezes has changed: a finding."""
        return self.trains is False and self.changed > 0


class ValueComparison(NamedTuple):
    """What changed in the values, tensor by tensor and folded. Everything is in the model's order.

    `tolerance` is the relative L2 norm up to which a change is none. `uncompared` counts tensors of either side that have no partner of their shape.
    """

    tolerance: float
    tensors: tuple[TensorChange, ...]
    layers: tuple[LayerChange, ...]
    components: tuple[LayerChange, ...]
    uncompared: int = 0

    @property
    def same(self) -> bool:
        """Whether no tensor changed by more than the tolerance."""
        return not any(row.changed for row in self.components)

    @property
    def moved(self) -> tuple[LayerChange, ...]:
        """The frozen components that changed."""
        return tuple(row for row in self.components if row.moved)
