"""Preprocessor and postprocessor have the same statistics of the action.

The first normalises the actions that the policy is trained on, the second undoes it. Where they
differ, one of them is another dataset's, and every action is off by the difference.

Copy both state files from one checkpoint.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ckpt_tools.rules.finding import Need, Severity
from ckpt_tools.rules.processors import POST, PRE, action_statistics, alike
from ckpt_tools.rules.rule import Rule, Violation

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ckpt_tools.rules.rule import Subject


def check(subject: Subject) -> Iterator[Violation]:
    """Yield one finding a statistic."""
    before, after = (action_statistics(subject, path) for path in (PRE, POST))
    for kind in sorted(before.keys() & after.keys()):
        if not alike(before[kind], after[kind]):
            what = f"{after[kind].name} differs from the preprocessor's: actions are not brought back to where they came from"
            yield Violation(
                what, POST, after[kind].name, "copy both state files from one checkpoint"
            )


RULE = Rule(
    code="CK729",
    name="action-statistics-differ",
    severity=Severity.ERROR,
    needs=frozenset({Need.HEADERS}),
    check=check,
    page=__doc__,
)
