"""Statistics that are read are finite.

With one NaN the policy acts with nothing but NaN; an infinite one makes zeros of what it sees, or
infinity of what it does. LeRobot loads both without a word.

Compute the statistics again: the dataset has a NaN in it. Copying them from a checkpoint of the
same run brings the same NaN.
"""

from __future__ import annotations

from math import isfinite
from typing import TYPE_CHECKING

from ckpt_tools.rules.finding import Need, Severity
from ckpt_tools.rules.processors import pairs
from ckpt_tools.rules.rule import Rule, Violation

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ckpt_tools.rules.rule import Subject
_LARGEST = 3.4028235e38
"""Of F32, to which LeRobot narrows them."""


def check(subject: Subject) -> Iterator[Violation]:
    """Yield one finding a statistic."""
    for normalizer, _, pair in pairs(subject):
        for statistic in pair:
            bad = [
                number
                for number in statistic.numbers or ()
                if not isfinite(number) or abs(number) > _LARGEST
            ]
            if bad:
                nan = sum(number != number for number in bad)  # noqa: PLR0124 - only NaN differs from itself
                what = f"holds {nan:,} NaN and {len(bad) - nan:,} infinite of {len(statistic.numbers or ()):,} numbers"
                yield Violation(
                    what,
                    normalizer.file,
                    statistic.name,
                    "compute the statistics of the dataset again",
                )


RULE = Rule(
    code="CK725",
    name="statistics-finite",
    severity=Severity.ERROR,
    needs=frozenset({Need.HEADERS}),
    check=check,
    page=__doc__,
)
