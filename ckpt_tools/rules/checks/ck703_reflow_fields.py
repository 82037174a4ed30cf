"""No field of reflow training is in config.json.

`teacher_model_path` and its like belong to training. Stock LeRobot knows none of them and refuses
the whole config.json, whatever their values; and a path to the teacher tells everybody where it
lay.

`ckpt sanitize` takes them out.
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
    """Yield one finding a field; `use_reflow` has a rule of its own."""
    reserved = subject.family.cleaning.reserved if subject.family.cleaning else ()
    for key, value in value_of(subject, CONFIG).items():
        if key in reserved and key != "use_reflow":
            yield Violation(
                f"{key} is {shown(value)}: stock LeRobot refuses a config.json that has it",
                CONFIG,
                f"/{key}",
            )


RULE = Rule(
    code="CK703",
    name="reflow-fields",
    severity=Severity.ERROR,
    needs=frozenset({Need.CONFIG}),
    check=check,
    page=__doc__,
    fix="ckpt sanitize WHERE",
    safe=True,
    families=SMOLVLA,
)
