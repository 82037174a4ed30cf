"""Medians of repeated measurements, with how far they can be trusted. Pure numbers, no clock.

The interval of a median is made of two of the measured values (order statistics): it asks nothing of their distribution and draws nothing at random.
"""

from __future__ import annotations

from math import comb
from typing import TYPE_CHECKING

from ckpt_tools.records.diagnosis import Interval

if TYPE_CHECKING:
    from collections.abc import Sequence

LEAST = 6
"""Values from which an interval of a median can have 95 % confidence."""

_DOUBT = 0.05


def median(values: Sequence[float]) -> float:
    """Return the median of one value or more."""
    ordered, half = sorted(values), len(values) // 2
    return ordered[half] if len(ordered) % 2 else (ordered[half - 1] + ordered[half]) / 2


def interval(values: Sequence[float]) -> Interval:
    """Return the median of `values` and the narrowest symmetric pair of them that holds the true one with 95 %; with fewer than LEAST, all of them."""
    ordered, cut, tail = sorted(values), 0, 0.0
    while cut < len(ordered) // 2:
        # So many or fewer of the values below the median: both tails together are the doubt.
        tail += comb(len(ordered), cut) / 2 ** len(ordered)
        if 2 * tail > _DOUBT:
            break
        cut += 1
    at = max(cut - 1, 0)
    return Interval(median(ordered), ordered[at], ordered[-1 - at], len(ordered))


def paired(normal: Sequence[float], reflow: Sequence[float]) -> Interval:
    """Return how often `normal` goes into `reflow`, pair by pair: what slowed the machine down for a moment slowed down both."""
    return interval([b / a for a, b in zip(normal, reflow, strict=True) if a > 0] or [1.0])
