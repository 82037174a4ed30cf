"""No weight is infinite.

An infinity becomes NaN at the first subtraction, and then every action is NaN.

Publish an earlier checkpoint; where a cast to F16 made the infinities, cast to BF16 instead.
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
    for path, found in by_file(subject, lambda _, facts: facts.infinite > 0):
        count = sum(facts.infinite for _, facts in found)
        hint = "publish a checkpoint from before the training diverged, or one that was not cast to F16"
        yield Violation(
            f"holds {count:,} infinities in {some(found)}", path, found[0][0].name, hint
        )


RULE = Rule(
    code="CK402",
    name="infinite-values",
    severity=Severity.ERROR,
    needs=frozenset({Need.VALUES}),
    check=check,
    page=__doc__,
)
