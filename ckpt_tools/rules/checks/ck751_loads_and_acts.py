"""The policy loads strictly, and acts.

Everything else here reads files. This asks LeRobot itself: the policy class is built from the
config, first without memory, then filled with every tensor and no other, its processors are made,
and it acts once on a grey picture. Asked with `ckpt verify --load`, where
`lerobot_policy_smolvla_reflow` is installed; the VLM's config and tokenizer have to be at hand, its
weights do not.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ckpt_tools.rules.finding import Need, Severity
from ckpt_tools.rules.rule import Rule, Violation

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ckpt_tools.rules.rule import Subject


def check(subject: Subject) -> Iterator[Violation]:
    """Yield what the probe said."""
    for sentence in subject.live or ():
        yield Violation(sentence, next="the other findings may say why")


RULE = Rule(
    code="CK751",
    name="loads-and-acts",
    severity=Severity.ERROR,
    needs=frozenset({Need.LIVE}),
    check=check,
    page=__doc__,
)
