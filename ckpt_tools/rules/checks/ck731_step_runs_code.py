"""Every step of a processor is one that LeRobot registers.

A step that is named by a `class` is imported by that name and called with what the JSON says,
whatever it is: who loads the checkpoint runs it. A registered name that only a plugin knows makes
stock LeRobot refuse the processor, and so does a step without either.

Write the step's registered name, or leave the step out. Never load such a checkpoint from somebody
you do not know.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ckpt_tools.rules.finding import Need, Severity
from ckpt_tools.rules.policy_config import shown
from ckpt_tools.rules.processors import REGISTERED, steps
from ckpt_tools.rules.rule import Rule, Violation

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ckpt_tools.rules.rule import Subject


def check(subject: Subject) -> Iterator[Violation]:
    """Yield one finding a step. A registered name goes before a class."""
    for step in steps(subject):
        name = step.value.get("registry_name", ...)
        if name is not ... and not (isinstance(name, str) and name in REGISTERED):
            yield Violation(
                f"stock LeRobot registers no step {shown(name)} and refuses the processor",
                step.path,
                f"{step.pointer}/registry_name",
            )
        elif name is ... and "class" in step.value:
            what = (
                f"{shown(step.value['class'])} is imported and called by who loads the checkpoint"
            )
            yield Violation(
                what,
                step.path,
                f"{step.pointer}/class",
                "write the step's registry_name, or leave the step out",
            )
        elif name is ...:
            yield Violation(
                "has neither registry_name nor class: stock LeRobot refuses the processor",
                step.path,
                step.pointer,
            )


RULE = Rule(
    code="CK731",
    name="step-runs-code",
    severity=Severity.ERROR,
    needs=frozenset({Need.HEADERS}),
    check=check,
    page=__doc__,
)
