"""No matrix is all zeros.

A matrix of zeros lets nothing through: it was never trained, never loaded, or written by a script
that allocated it. Vectors and single rows may well be zero: biases and mask tokens start so.
Integers are not looked at.

Look at what made the checkpoint. A layer that starts at zero on purpose is a reason to suppress
this.
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
        subject, lambda tensor, facts: is_matrix(tensor) and facts.constant and facts.low == 0
    ):
        yield Violation(
            f"nothing but zeros in {some(found)}",
            path,
            found[0][0].name,
            "look at what made them: they were not trained, or not saved",
        )


RULE = Rule(
    code="CK403",
    name="zero-weights",
    severity=Severity.WARNING,
    needs=frozenset({Need.VALUES}),
    check=check,
    page=__doc__,
)
