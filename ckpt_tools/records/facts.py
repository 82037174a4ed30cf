"""What one pass over a tensor's values tells: `Facts` is what the rules ask for, `Measurement` everything."""

from __future__ import annotations

from typing import NamedTuple


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

    `low`, `high`, `mean` and `l2`, the Euclidean norm, are those of the finite values, 0 where there is none. `zeros` counts zeros of either sign. A complex
    number counts as two. `zero_low_bits` is how many of the last bits of the mantissa are zero in every value: as many can be cut off without a change, 16 of
    F32 that fits BF16. It is -1 for what is no float.
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
    """Measurements of one layer of a component together, or of a whole component (`layer` ""). `rms` is the root of the mean square of the finite values.

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
    """What was measured: of every tensor in the checkpoint's order, and folded, in the model's order."""

    tensors: tuple[Measurement, ...]
    layers: tuple[LayerValues, ...]
    components: tuple[LayerValues, ...]
