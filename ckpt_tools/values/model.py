"""What one pass over a tensor's values tells.

`Facts` is what the rules ask for, `Measurement` everything.
"""

from __future__ import annotations

from enum import StrEnum
from math import inf
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from ckpt_tools.checkpoint.model import Tensor


class Facts(NamedTuple):
    """Counts, and the range of the finite values; `low` and `high` are 0 where there is none."""

    elements: int
    nan: int
    infinite: int
    low: float
    high: float

    @property
    def constant(self) -> bool:
        """Whether all of several values are one and the same number."""
        return self.elements > 1 and not self.nan and not self.infinite and self.low == self.high


class Measurement(NamedTuple):
    """Everything that is told of one tensor. `digest` is the BLAKE3 of its bytes, in hexadecimal.

    `low`, `high`, `mean` and `l2`, the Euclidean norm, are those of the finite values, 0 where
    there is none. `zeros` counts zeros of either sign. A complex number counts as two.
    `zero_low_bits` is how many of the last bits of the mantissa are zero in every value: as many
    can be cut off without a change, 16 of F32 that fits BF16. It is -1 for what is no float.
    """

    name: str
    digest: str
    elements: int
    nan: int
    infinite: int
    low: float
    high: float
    mean: float
    l2: float
    zeros: int
    zero_low_bits: int

    @property
    def finite(self) -> int:
        """Number of values that are neither NaN nor infinite."""
        return self.elements - self.nan - self.infinite


class LayerValues(NamedTuple):
    """Measurements of one layer of a component together, or of a whole component (`layer` "").

    `rms` is the root of the mean square of the finite values.

    `zero_low_bits` is the smallest of its float tensors, -1 where it has none.
    """

    component: str
    title: str
    layer: str
    tensors: int
    elements: int
    nan: int
    infinite: int
    low: float
    high: float
    rms: float
    zeros: int
    zero_low_bits: int


class ValueSummary(NamedTuple):
    """What was measured.

    Of every tensor in the checkpoint's order, and folded, in the model's order.
    """

    tensors: tuple[Measurement, ...]
    layers: tuple[LayerValues, ...]
    components: tuple[LayerValues, ...]


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
    """What one pass over two tensors of one shape tells.

    `same_bytes` is also true of tensors whose bytes are known to be equal without a look.

    `changed` counts the elements whose values differ, `broken` those among them where a side is NaN
    or infinite. `max_abs` is the largest |b - a|, `l2_a`, `l2_b` and `l2_change` are the norms of
    a, b and b - a, `cosine` that of the angle between a and b, all over the elements that are
    finite on both sides. The norms are 0 where the bytes are the same: nobody looked. A norm that
    no double holds is infinite; `rel_l2_of_huge` then is what it was needed for.
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
    """A tensor in A and its partner in B, of the same shape.

    The part of the model and the layer they belong to, and how they differ.
    """

    a: Tensor
    b: Tensor
    component: str
    layer: str
    sameness: Sameness
    facts: PairFacts


class LayerChange(NamedTuple):
    """What changed in one layer of a component, or in a whole component (`layer` "").

    `layer` is a number, or "other" for tensors of no layer.

    `tensors` were compared. Of these `identical` have the same bytes, `equal` the same values in
    other bits, `close` values within the tolerance; the rest changed. `low` and `high` are the
    smallest and the largest relative L2 norm of the change, ||b - a|| / ||a||, and `max_abs` the
    largest |b - a|, of the tensors that changed (where none did, of those that are close), 0 where
    there is none. `high` is infinite where a tensor of zeros has become something else. `broken`
    counts values that are NaN or infinite on one side and something else on the other. `trains`
    says whether the config lets the component train, None where that is unknown.
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

    `tolerance` is the relative L2 norm up to which a change is none. `uncompared` counts tensors of
    either side that have no partner of their shape.
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
