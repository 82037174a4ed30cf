"""A policy has both processors.

They hold what surrounds it: tokenizer, normalisation of what it sees, denormalisation of what it
does. LeRobot since 0.4 refuses a folder without them; code that loads the policy alone runs it
unnormalised, which looks like a robot that trembles. Policies of LeRobot 0.3 kept the statistics
among their weights.

Copy both from another checkpoint of the same run, with their state files; a student takes its
teacher's. For a policy of LeRobot 0.3 there is `lerobot.processor.migrate_policy_normalization`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ckpt_tools.checkpoint.documents import PROCESSORS
from ckpt_tools.families.smolvla.components import NORMALISATION
from ckpt_tools.rules.finding import Need, Severity
from ckpt_tools.rules.policy_config import SMOLVLA
from ckpt_tools.rules.rule import Rule, Violation

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ckpt_tools.rules.rule import Subject


def check(subject: Subject) -> Iterator[Violation]:
    """Yield one finding a processor, and where both are missing one for the two."""
    old = any(
        subject.family.component(tensor.name) == NORMALISATION
        for tensor in subject.checkpoint.tensors
    )
    after = (
        "python -m lerobot.processor.migrate_policy_normalization"
        if old
        else "copy them from another checkpoint of the same run, or from the teacher"
    )
    missing = [path for path in PROCESSORS if subject.checkpoint.document(path) is None]
    if len(missing) == len(PROCESSORS):
        yield Violation(
            "there are no processors: stock LeRobot refuses the folder, and the policy alone runs unnormalised",
            next=after,
        )
        return
    for path in missing:
        yield Violation(f"there is no {path}: stock LeRobot refuses the folder", path, next=after)


RULE = Rule(
    code="CK721",
    name="processors-missing",
    severity=Severity.ERROR,
    needs=frozenset({Need.CONFIG, Need.FILES}),
    check=check,
    page=__doc__,
    families=SMOLVLA,
)
