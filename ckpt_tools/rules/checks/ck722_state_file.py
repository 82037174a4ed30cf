"""Every state file that a processor names is there.

It holds the normalisation statistics. From a folder LeRobot refuses a processor whose state file is
missing, and from the Hub it fails to download it.

Copy the file from another checkpoint of the same run: all of them have the same statistics.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ckpt_tools.rules.finding import Need, Severity
from ckpt_tools.rules.policy_config import shown
from ckpt_tools.rules.processors import steps
from ckpt_tools.rules.rule import Rule, Violation

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ckpt_tools.rules.rule import Subject


def check(subject: Subject) -> Iterator[Violation]:
    """Yield one finding a step."""
    there = {file.path for file in subject.checkpoint.states}
    for step in steps(subject):
        name = step.value.get("state_file", ...)
        if name is not ... and not (isinstance(name, str) and name in there):
            what = f"names the state file {shown(name)}, which is not there: stock LeRobot refuses the processor"
            yield Violation(
                what,
                step.path,
                f"{step.pointer}/state_file",
                "copy it from another checkpoint of the same run",
            )


RULE = Rule(
    code="CK722",
    name="state-file-missing",
    severity=Severity.ERROR,
    needs=frozenset({Need.FILES}),
    check=check,
    page=__doc__,
)
