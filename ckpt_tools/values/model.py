"""What one pass over the values of tensors finds, of one checkpoint or of two."""

from __future__ import annotations

from enum import StrEnum
from math import hypot, inf, prod
from typing import TYPE_CHECKING, NamedTuple

from ckpt_tools.checkpoint.dtype import Dtype
from ckpt_tools.checkpoint.names import is_index
from ckpt_tools.text import printable

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ckpt_tools.checkpoint.model import Tensor


class Measurement(NamedTuple):
    """The values of one tensor. A complex number counts as two.

    `digest` is the BLAKE3 of its bytes, in hexadecimal, "" where it was not computed. `low`,
    `high`, `mean`, `l2`, the Euclidean norm, and `rms`, the root of the mean square, are those of
    the finite values, 0 without any; `l2` is infinite where it exceeds the largest double.
    `zeros` counts zeros of either sign. `zero_low_bits` is how many of the last bits of the
    mantissa are zero in every value: as many can be cut off without a change, 16 of F32 that fits
    BF16. It is -1 for dtypes that are not floats.
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
    rms: float

    @property
    def finite(self) -> int:
        """Number of values that are neither NaN nor infinite."""
        return self.elements - self.nan - self.infinite

    @property
    def constant(self) -> bool:
        """Whether all of several values are one and the same finite number."""
        return self.finite == self.elements > 1 and self.low == self.high


class LayerValues(NamedTuple):
    """Measurements of one layer of a component together, or of a whole component (`layer` "").

    `rms` is the root of the mean square of the finite values. `zero_low_bits` is the smallest of
    the float tensors', -1 without any.
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
    """Measurements of every tensor, in the checkpoint's order, and folded, in the model's order."""

    tensors: tuple[Measurement, ...]
    layers: tuple[LayerValues, ...]
    components: tuple[LayerValues, ...]


class Sameness(StrEnum):
    """How the values of a tensor in A compare with those of its counterpart in B."""

    IDENTICAL = "identical"
    """The same bytes, of the same dtype."""
    EQUAL = "equal"
    """Equal values, different bit patterns: another dtype, -0.0 for 0.0, another NaN."""
    CLOSE = "close"
    """Different by no more than the tolerance."""
    CHANGED = "changed"


class PairFacts(NamedTuple):
    """How the values of two tensors of one shape differ.

    `same_bytes` is also true of tensors whose bytes are known to be equal without reading them.
    `changed` counts the elements whose values differ, `broken` those among them where a side is NaN
    or infinite. `max_abs` is the largest |b - a|, `l2_a`, `l2_b` and `l2_change` are the norms of
    a, b and b - a, `cosine` that of the angle between a and b, all over the elements that are
    finite on both sides. The norms are 0 where the bytes are the same: they were not computed. A
    norm beyond the largest double is infinite; `rel_l2_of_huge` is then the relative norm.
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


def rel_l2_together(facts: Sequence[PairFacts]) -> float:
    """Return ||b - a|| / ||a|| over several tensors; infinite where all of a is zeros and b is not.

    Where a norm exceeds the largest double, it is that of the most changed tensor.
    """
    change, before = hypot(*(one.l2_change for one in facts)), hypot(*(one.l2_a for one in facts))
    if inf in (change, before):
        return max(one.rel_l2 for one in facts)
    return change / before if before else inf if change else 0.0


class TensorChange(NamedTuple):
    """A tensor in A and its counterpart in B, of the same shape, and how they differ."""

    a: Tensor
    b: Tensor
    component: str
    layer: str
    sameness: Sameness
    facts: PairFacts

    @property
    def identical(self) -> bool:
        """Whether the two have the same bytes, of the same dtype."""
        return self.sameness is Sameness.IDENTICAL

    @property
    def changed(self) -> bool:
        """Whether values differ by more than the tolerance."""
        return self.sameness is Sameness.CHANGED


OTHER = "other"
"""The layer of tensors outside numbered layers."""


def layer_title(layer: str) -> str:
    """Return what reports call a layer: `layer 3`, `layer1.0`, `outside numbered layers`."""
    if layer == OTHER:
        return "outside numbered layers"
    return f"layer {layer}" if is_index(layer) else printable(layer)


class LayerChange(NamedTuple):
    """What changed in one layer of a component, or in a whole component (`layer` "").

    `layer` is a number, with the name of its list where a component has several
    (`layer1.0`), or "other" for tensors outside numbered layers. `tensors` were compared: of
    these `identical` have the same bytes, `equal` the same values in different bit patterns,
    `close` values within the tolerance; the rest changed. `rel_l2` is the relative L2 norm of the
    change, ||b - a|| / ||a||, over the tensors that changed (if none did, those that are close)
    taken together: rank layers by it. `low` and `high` are the smallest and the largest such norm
    of a single tensor among them, and `max_abs` the largest |b - a|, 0 without any. `high` is
    infinite where a tensor of zeros has changed, `rel_l2` where all were zeros. `broken` counts
    values that are NaN or infinite on one side and something else on the other. `trains` is whether
    the config lets the component train, None if unknown.
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
    rel_l2: float = 0.0

    @property
    def changed(self) -> int:
        """Tensors that are neither identical nor equal nor close."""
        return self.tensors - self.identical - self.equal - self.close

    @property
    def moved(self) -> bool:
        """Whether a part that the config freezes has changed: a finding."""
        return self.trains is False and self.changed > 0


class ValueComparison(NamedTuple):
    """What changed in the values, tensor by tensor and folded, in the model's order.

    `tolerance` is the relative L2 norm up to which a tensor counts as unchanged. `uncompared`
    counts tensors of either side without a counterpart of the same shape.
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


LEAST_SIDE = 16
"""Smaller matrices say nothing: an adapter's rank is their own."""

_MATRIX = frozenset({Dtype.F16, Dtype.BF16, Dtype.F32, Dtype.F64})


class DifferenceRank(NamedTuple):
    """The rank of B - A in a sample of `rows` rows and `columns` columns of a tensor.

    `rank` is 0 where the whole difference is of the size of rounding, and the smaller side where
    nothing stands out.
    """

    name: str
    rank: int
    rows: int
    columns: int

    @property
    def low(self) -> bool:
        """Whether at most half of the sample's rank is there."""
        return 0 < 2 * self.rank <= min(self.rows, self.columns)


def matrix_sides(tensor: Tensor) -> tuple[int, int]:
    """Return (rows, columns) of a tensor taken as a matrix; of a stack of matrices, of the first.

    Axes after the first are the columns, as in a convolution.
    """
    if len(tensor.shape) == 3 and tensor.shape[2] >= LEAST_SIDE:  # noqa: PLR2004 - a stack of experts
        return tensor.shape[1], tensor.shape[2]
    return (tensor.shape[0], prod(tensor.shape[1:])) if len(tensor.shape) > 1 else (0, 0)


def has_rank(a: Tensor, b: Tensor) -> bool:
    """Whether the rank of a difference can be found: both are float matrices, and not too small."""
    return {a.dtype, b.dtype} <= _MATRIX and min(matrix_sides(a)) >= LEAST_SIDE
