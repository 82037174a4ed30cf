"""A processor's state file holds what its step reads, and nothing else.

LeRobot's normalizers read statistics from it, the other steps nothing. Another tensor there is downloaded by everybody and used by nobody: a model saved
under the wrong name, a teacher that was put aside. Steps of your own may keep what they like.

Copy the processor and its state file from another checkpoint of the same run: all of them have the same.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from ckpt_tools.records.finding import Need, Severity
from ckpt_tools.rules.grouping import amount
from ckpt_tools.rules.processors import NORMALIZER, REGISTERED, UNNORMALIZER, steps
from ckpt_tools.rules.rule import Found, Rule

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ckpt_tools.rules.processors import Step
    from ckpt_tools.rules.rule import Subject

_STATISTIC = re.compile(r"[^.]*|.*\.(min|max|mean|std|count|q\d+)", re.DOTALL)
"""A feature and a kind that LeRobot computes of a dataset. A name without a dot is CK724's."""

_ANYTHING, _NOTHING = re.compile(".*", re.DOTALL), re.compile("")
_OTHERS_WITH_STATE = ("groot_", "molmoact2_masked_")


def check(subject: Subject) -> Iterator[Found]:
    """Yield one finding for each file."""
    for file in subject.checkpoint.states:
        read = [_read(step) for step in steps(subject) if step.value.get("state_file") == file.path]
        more = [tensor for tensor in file.tensors if not any(names.fullmatch(tensor.name) for names in read)]
        if more:
            yield Found(
                f"holds {amount(more)}, that no step reads",
                file.path,
                more[0].name,
                "copy the processor and its state file from another checkpoint of the same run",
            )


def _read(step: Step) -> re.Pattern[str]:
    """Return the names of what a step reads from its state file."""
    if step.name in (NORMALIZER, UNNORMALIZER):
        return _STATISTIC
    return _NOTHING if step.name in REGISTERED and not step.name.startswith(_OTHERS_WITH_STATE) else _ANYTHING


RULE = Rule(
    code="CK734",
    name="state-holds-more",
    severity=Severity.WARNING,
    needs=frozenset({Need.HEADERS}),
    check=check,
    page=__doc__,
)
