"""Statistics that are divided by are positive.

A dimension that never moved in the dataset has a standard deviation of 0. LeRobot divides by it
plus 1e-8: the smallest deviation on a robot becomes a hundred million. A negative one turns the
dimension round. Of an action, 0 means that this dimension always has the same value: a warning,
unless all of them have.

Set the standard deviation of a dimension that never moves to 1, in both processors, or take the
dimension out of the dataset.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ckpt_tools.rules.finding import Need, Severity
from ckpt_tools.rules.policy_config import ACTION
from ckpt_tools.rules.processors import pairs
from ckpt_tools.rules.rule import Rule, Violation

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ckpt_tools.rules.processors import Statistic
    from ckpt_tools.rules.rule import Subject


def check(subject: Subject) -> Iterator[Violation]:
    """Yield one finding a feature for what is zero, one for what is negative."""
    for normalizer, read, (low, high) in pairs(subject):
        spreads = _spreads(read.mode, low, high)
        zero = [number for number, spread in enumerate(spreads) if 0 <= spread <= normalizer.eps]
        negative = [number for number, spread in enumerate(spreads) if spread < 0]
        word = (
            "standard deviation"
            if read.mode == "MEAN_STD"
            else f"distance from {_kind(low)} to {_kind(high)}"
        )
        if negative:
            yield Violation(
                f"the {word} is negative in {_dimensions(negative)}", normalizer.file, high.name
            )
        if zero and read.feature == ACTION:
            some = len(zero) < len(spreads)
            what = f"the {word} is 0 in {_dimensions(zero)}: the policy always does the same there"
            yield Violation(
                what, normalizer.file, high.name, severity=Severity.WARNING if some else None
            )
        elif zero:
            yield Violation(
                f"the {word} is 0 in {_dimensions(zero)}: the smallest deviation becomes huge",
                normalizer.file,
                high.name,
            )


def _spreads(mode: str, low: Statistic, high: Statistic) -> list[float]:
    """Return what is divided by, dimension by dimension."""
    if mode == "MEAN_STD":
        return list(high.numbers or ())
    return [
        top - bottom for bottom, top in zip(low.numbers or (), high.numbers or (), strict=False)
    ]


def _kind(statistic: Statistic) -> str:
    return statistic.name.rpartition(".")[2]


def _dimensions(numbers: list[int]) -> str:
    some = 5
    more = f" and {len(numbers) - some:,} more" if len(numbers) > some else ""
    return f"dimension{'s' * (len(numbers) > 1)} {', '.join(map(str, numbers[:some]))}{more}"


RULE = Rule(
    code="CK726",
    name="statistics-spread",
    severity=Severity.ERROR,
    needs=frozenset({Need.HEADERS}),
    check=check,
    page=__doc__,
)
