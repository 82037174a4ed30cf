"""Statistics have the shape of the feature they are of.

A vector of seven does not go with one of six: LeRobot fails at the first inference. It happens when
the statistics of another robot are copied. A single number goes with anything.

Copy the state file from another checkpoint of the same run.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ckpt_tools.rules.finding import Need, Severity
from ckpt_tools.rules.processors import pairs
from ckpt_tools.rules.rule import Rule, Violation

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ckpt_tools.rules.rule import Subject


def check(subject: Subject) -> Iterator[Violation]:
    """Yield one finding a statistic."""
    for normalizer, read, pair in pairs(subject):
        for statistic in pair:
            shape = (
                (*statistic.shape, 1, 1)
                if read.kind == "VISUAL" and len(statistic.shape) == 1
                else statistic.shape
            )
            if read.shape is not None and not _goes_with(shape, read.shape):
                what = f"has the shape {list(statistic.shape)}, and {read.feature} {list(read.shape)}: stock LeRobot fails at the first inference"
                yield Violation(
                    what,
                    normalizer.file,
                    statistic.name,
                    "copy the state file from another checkpoint of the same run",
                )


def _goes_with(statistic: tuple[int, ...], feature: tuple[int, ...]) -> bool:
    """Whether torch broadcasts the one to the other without changing the other."""
    aligned = feature[len(feature) - len(statistic) :]
    return len(statistic) <= len(feature) and all(
        mine in (1, other) for mine, other in zip(statistic, aligned, strict=True)
    )


RULE = Rule(
    code="CK727",
    name="statistics-shape",
    severity=Severity.ERROR,
    needs=frozenset({Need.HEADERS}),
    check=check,
    page=__doc__,
)
