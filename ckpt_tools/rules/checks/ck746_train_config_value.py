"""train_config.json is one that LeRobot 0.6.1 resumes from.

It refuses unknown fields and values of another type. A run of an older release has fields that are
gone since: nobody needs the file to run the policy, so this is a note.

Resume with the release that wrote it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ckpt_tools.rules.finding import Need, Severity
from ckpt_tools.rules.policy_config import SMOLVLA, TRAIN_CONFIG, departures, value_of
from ckpt_tools.rules.rule import Rule, Violation

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ckpt_tools.rules.rule import Subject


def check(subject: Subject) -> Iterator[Violation]:
    """Yield one finding a value."""
    if subject.checkpoint.document(TRAIN_CONFIG):
        for found in departures(value_of(subject, TRAIN_CONFIG), subject.schema("train-config")):
            yield Violation(
                found.what, TRAIN_CONFIG, found.pointer, "resume with the LeRobot that wrote it"
            )


RULE = Rule(
    code="CK746",
    name="train-config-value",
    severity=Severity.NOTE,
    needs=frozenset({Need.HEADERS}),
    check=check,
    page=__doc__,
    families=SMOLVLA,
)
