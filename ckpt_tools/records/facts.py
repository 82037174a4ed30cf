"""What one pass over a tensor's values tells."""

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
