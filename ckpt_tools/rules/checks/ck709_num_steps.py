"""`num_steps` is a positive integer, and not a large one.

It is how often the policy is asked for one chunk. With 0 the first inference divides by zero. With
a negative number nothing is computed at all: what LeRobot sends to the robot is noise, without a
word. Above 50 there is nothing to gain, and a reflowed policy wants 1 to 4.

Set it to what the policy was evaluated with: `ckpt config set num_steps 10`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ckpt_tools.rules.finding import Need, Severity
from ckpt_tools.rules.policy_config import CONFIG, SMOLVLA, is_integer, shown, value_of
from ckpt_tools.rules.remedy import Remedy
from ckpt_tools.rules.rule import Rule, Violation

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ckpt_tools.rules.rule import Subject
_DEFAULT, _MANY = 10, 50


def check(subject: Subject) -> Iterator[Violation]:
    """Yield one finding."""
    value = value_of(subject, CONFIG).get("num_steps", _DEFAULT)
    place = (CONFIG, "/num_steps", Remedy(("ckpt", "config", "WHERE", "set", "num_steps", "10")))
    if not is_integer(value):
        yield Violation(f"num_steps is {shown(value)} where an integer is expected", *place)
    elif value < 1:
        does = (
            "fails at the first inference"
            if value == 0
            else "computes nothing and sends noise to the robot"
        )
        yield Violation(f"num_steps is {value}: stock LeRobot {does}", *place)
    elif value > _MANY:
        yield Violation(
            f"num_steps is {value:,}: one chunk takes as long as {value:,} passes through the action expert",
            *place,
            Severity.WARNING,
        )


RULE = Rule(
    code="CK709",
    name="num-steps",
    severity=Severity.ERROR,
    needs=frozenset({Need.CONFIG}),
    check=check,
    page=__doc__,
    families=SMOLVLA,
)
