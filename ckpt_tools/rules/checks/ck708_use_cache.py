"""`use_cache` is true.

With false the policy loads, and crashes at the first inference: the steps of denoising read what
only the cache holds.

Set it to true: `ckpt config set use_cache true`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ckpt_tools.rules.finding import Need, Severity
from ckpt_tools.rules.policy_config import CONFIG, SMOLVLA, shown, value_of
from ckpt_tools.rules.rule import Rule, Violation

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ckpt_tools.rules.rule import Subject


def check(subject: Subject) -> Iterator[Violation]:
    """Yield one finding. LeRobot reads "true" as true."""
    value = value_of(subject, CONFIG).get("use_cache", True)
    if value is not True and value != "true":
        does = (
            "loads the policy and crashes at the first inference"
            if value is False or value is None or value == "false"
            else "refuses the file"
        )
        yield Violation(f"use_cache is {shown(value)}: stock LeRobot {does}", CONFIG, "/use_cache")


RULE = Rule(
    code="CK708",
    name="use-cache",
    severity=Severity.ERROR,
    needs=frozenset({Need.CONFIG}),
    check=check,
    page=__doc__,
    fix="ckpt config WHERE set use_cache true",
    families=SMOLVLA,
)
