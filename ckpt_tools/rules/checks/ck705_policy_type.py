"""`type` is one that stock LeRobot registers.

It says which policy to build. Without it, or with one that only a plugin knows (`smolvla_reflow`),
LeRobot refuses config.json; the asynchronous server loads no plugins at all.

`ckpt sanitize` writes `smolvla`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ckpt_tools.rules.finding import Need, Severity
from ckpt_tools.rules.policy_config import CONFIG, SMOLVLA, shown, value_of
from ckpt_tools.rules.rule import Rule, Violation
from ckpt_tools.strict_json.pointer import ABSENT

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ckpt_tools.rules.rule import Subject


def check(subject: Subject) -> Iterator[Violation]:
    """Yield one finding. What looks like a SmolVLA by its tensors must say so."""
    value = value_of(subject, CONFIG).get("type", ABSENT)
    if value is ABSENT:
        yield Violation(
            "type is not there: stock LeRobot does not know what to build", CONFIG, "/type"
        )
    elif value != "smolvla":
        because = (
            "which only a plugin registers"
            if value == "smolvla_reflow"
            else "which is not what these tensors are"
        )
        yield Violation(
            f"type is {shown(value)}, {because}: stock LeRobot refuses the checkpoint",
            CONFIG,
            "/type",
        )


RULE = Rule(
    code="CK705",
    name="policy-type",
    severity=Severity.ERROR,
    needs=frozenset({Need.CONFIG}),
    check=check,
    page=__doc__,
    fix="ckpt sanitize WHERE",
    safe=True,
    families=SMOLVLA,
)
