"""No weight is NaN.

One NaN is enough: it spreads through every layer, and stock LeRobot loads the file without a word
and acts with nothing but NaN.

Publish an earlier checkpoint, from before the training diverged.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ckpt_tools.rules.finding import Need, Severity
from ckpt_tools.rules.grouping import by_file, some
from ckpt_tools.rules.rule import Rule, Violation

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ckpt_tools.rules.rule import Subject


def check(subject: Subject) -> Iterator[Violation]:
    """Yield one finding a file."""
    for path, found in by_file(subject, lambda _, facts: facts.nan > 0):
        count = sum(facts.nan for _, facts in found)
        yield Violation(
            f"holds {count:,} NaN in {some(found)}",
            path,
            found[0][0].name,
            "publish a checkpoint from before the training diverged",
        )


RULE = Rule(
    code="CK401",
    name="nan-values",
    severity=Severity.ERROR,
    needs=frozenset({Need.VALUES}),
    check=check,
    page=__doc__,
)
