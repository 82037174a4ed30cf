"""`use_reflow` is not in config.json.

A fork of LeRobot asks for it. Stock LeRobot knows no such field and refuses the whole config.json,
whatever the value: false and null are as bad as true.

`ckpt sanitize` takes it out. A reflowed policy is an ordinary SmolVLA and needs no mark; how many
steps it wants is `num_steps`.
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
    """Yield one finding."""
    config = value_of(subject, CONFIG)
    if "use_reflow" in config:
        yield Violation(
            f"use_reflow is {shown(config['use_reflow'])}: stock LeRobot refuses a config.json that has it",
            CONFIG,
            "/use_reflow",
        )


RULE = Rule(
    code="CK702",
    name="use-reflow",
    severity=Severity.ERROR,
    needs=frozenset({Need.CONFIG}),
    check=check,
    page=__doc__,
    fix="ckpt sanitize WHERE",
    safe=True,
    families=SMOLVLA,
)
