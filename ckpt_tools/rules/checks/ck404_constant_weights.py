"""No matrix is one and the same number throughout.

Training never makes such a matrix. It comes from a placeholder that was saved in the place of
weights. Integers are not looked at: the zero points of a symmetric quantisation are all the same.

Look at what made the checkpoint.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ckpt_tools.rules.finding import Need, Severity
from ckpt_tools.rules.grouping import by_file, is_matrix, some
from ckpt_tools.rules.rule import Rule, Violation

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ckpt_tools.rules.rule import Subject


def check(subject: Subject) -> Iterator[Violation]:
    """Yield one finding a file."""
    for path, found in by_file(
        subject, lambda tensor, facts: is_matrix(tensor) and facts.constant and facts.low != 0
    ):
        yield Violation(
            f"one and the same number throughout {some(found)}",
            path,
            found[0][0].name,
            "look at what made them: these are placeholders",
        )


RULE = Rule(
    code="CK404",
    name="constant-weights",
    severity=Severity.WARNING,
    needs=frozenset({Need.VALUES}),
    check=check,
    page=__doc__,
)
