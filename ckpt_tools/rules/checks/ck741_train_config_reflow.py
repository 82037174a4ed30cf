"""train_config.json asks for nothing that stock LeRobot does not have.

Nobody needs it to run the policy. Who resumes or repeats the training does: with the plugin's
policy type or the fields of reflow, stock LeRobot refuses the file.

`ckpt sanitize` takes the fields out and writes `smolvla`. Keep the original for resuming with the
plugin.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ckpt_tools.rules.finding import Need, Severity
from ckpt_tools.rules.policy_config import SMOLVLA, TRAIN_CONFIG, shown, value_of
from ckpt_tools.rules.rule import Rule, Violation

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ckpt_tools.rules.rule import Subject


def check(subject: Subject) -> Iterator[Violation]:
    """Yield one finding for the type, one for all fields."""
    policy = value_of(subject, TRAIN_CONFIG).get("policy")
    if not isinstance(policy, dict):
        return
    if policy.get("type") == "smolvla_reflow":
        yield Violation(
            "the policy's type is smolvla_reflow: training resumes only with the plugin",
            TRAIN_CONFIG,
            "/policy/type",
        )
    reserved = subject.family.cleaning.reserved if subject.family.cleaning else ()
    fields = [key for key in policy if key in reserved]
    if fields:
        names = ", ".join(f"{key} {shown(policy[key])}" for key in fields)
        yield Violation(
            f"has fields of reflow training ({names}): stock LeRobot refuses to resume from it",
            TRAIN_CONFIG,
            f"/policy/{fields[0]}",
        )


RULE = Rule(
    code="CK741",
    name="train-config-reflow",
    severity=Severity.NOTE,
    needs=frozenset({Need.HEADERS}),
    check=check,
    page=__doc__,
    fix="ckpt sanitize WHERE",
    safe=True,
    families=SMOLVLA,
)
