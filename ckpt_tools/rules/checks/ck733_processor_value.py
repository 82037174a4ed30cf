"""Every setting of a processor's step is one that the step has.

LeRobot builds a step from its settings, and refuses the processor where a setting is unknown or
cannot be read.

Copy the processor from another checkpoint of the same run.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ckpt_tools.checkpoint.documents import PROCESSORS
from ckpt_tools.rules.finding import Need, Severity
from ckpt_tools.rules.policy_config import SMOLVLA, departures, shown
from ckpt_tools.rules.processors import steps
from ckpt_tools.rules.rule import Rule, Violation

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ckpt_tools.rules.rule import Subject
_OWN = ("/registry_name", "/class", "/state_file")
"""Parts of a step with rules of their own; the modes of a step have one too."""


def check(subject: Subject) -> Iterator[Violation]:
    """Yield one finding a setting, or one for a file that has no steps."""
    for path in PROCESSORS:
        document = subject.checkpoint.document(path)
        listed = document.value.get("steps") if document else []
        if not isinstance(listed, list):
            yield Violation(
                "has no list of steps: stock LeRobot refuses the processor", path, "/steps"
            )
            continue
        for number, step in enumerate(listed):
            if not isinstance(step, dict):
                yield Violation(
                    f"is {shown(step)} where a step is expected: stock LeRobot refuses the processor",
                    path,
                    f"/steps/{number}",
                )
    for step in steps(subject):
        schema = subject.schema(step.path.removesuffix(".json").replace("_", "-"))
        settings = schema.get("$defs")
        part = settings.get(step.name) if isinstance(settings, dict) else None
        for found in departures(
            step.value.get("config", {}),
            {**part, "$defs": settings} if isinstance(part, dict) else {},
        ):
            if not found.pointer.startswith("/norm_map"):
                yield Violation(
                    found.what,
                    step.path,
                    f"{step.pointer}/config{found.pointer}",
                    "copy the processor from another checkpoint of the same run",
                )


RULE = Rule(
    code="CK733",
    name="processor-value",
    severity=Severity.ERROR,
    needs=frozenset({Need.CONFIG}),
    check=check,
    page=__doc__,
    families=SMOLVLA,
)
