"""What one pass over a tensor's values tells."""

from __future__ import annotations

from typing import NamedTuple


class Facts(NamedTuple):
    """Counts and moments of one tensor, in float64; `low` and `high` are over the finite values (0 where there are none).

    `elements`, `nan`, `infinite` and `zero` are counts. `ones` says that every value is exactly 1, `constant` that all are one value.
    """

    elements: int
    nan: int
    infinite: int
    zero: int
    low: float
    high: float
    mean: float
    norm: float
    ones: bool
    constant: bool
