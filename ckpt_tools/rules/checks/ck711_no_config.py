"""A policy's folder has a config.json.

It says which policy the weights are of, and LeRobot loads nothing without it.

Copy it from another checkpoint of the same run, or from the policy it was trained from.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ckpt_tools.rules.finding import Need, Severity
from ckpt_tools.rules.policy_config import CONFIG, SMOLVLA
from ckpt_tools.rules.rule import Rule, Violation

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ckpt_tools.rules.rule import Subject


def check(subject: Subject) -> Iterator[Violation]:
    """Yield one finding."""
    if subject.checkpoint.document(CONFIG) is None:
        yield Violation(
            "there is no config.json: stock LeRobot loads nothing from this folder",
            next="copy it from another checkpoint of the same run",
        )


RULE = Rule(
    code="CK711",
    name="no-config",
    severity=Severity.ERROR,
    needs=frozenset({Need.FILES}),
    check=check,
    page=__doc__,
    families=SMOLVLA,
)
