"""A processor's state file holds no model.

LeRobot's normalizers keep statistics in it, whatever kinds the dataset has, the other steps
nothing. Weights there are downloaded by everybody and used by nobody: a model saved under the wrong
name, a teacher that was put aside. Steps of your own may keep what they like.

Copy the processor and its state file from another checkpoint of the same run: all of them have the
same.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ckpt_tools.rules.finding import Need, Severity
from ckpt_tools.rules.grouping import amount
from ckpt_tools.rules.processors import NORMALIZER, REGISTERED, UNNORMALIZER, steps
from ckpt_tools.rules.rule import Rule, Violation

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ckpt_tools.rules.rule import Subject

_PARAMETERS = (".weight", ".bias")
"""How the names of a module's parameters end, and those of no statistic.

Datasets bring kinds of statistics of their own.
"""

_OTHERS_WITH_STATE = ("groot_", "molmoact2_masked_")


def check(subject: Subject) -> Iterator[Violation]:
    """Yield one finding for each file."""
    weights = {file.path for file in subject.checkpoint.weights}
    for file in subject.checkpoint.states:
        names = {step.name for step in steps(subject) if step.value.get("state_file") == file.path}
        if file.path in weights or any(
            name not in REGISTERED or name.startswith(_OTHERS_WITH_STATE) for name in names
        ):
            continue
        statistics = bool(names & {NORMALIZER, UNNORMALIZER})
        more = [
            tensor for tensor in file.tensors if not statistics or tensor.name.endswith(_PARAMETERS)
        ]
        if more:
            words = f"holds {amount(more)}, that no step reads"
            yield Violation(
                words,
                file.path,
                more[0].name,
                "copy the processor and its state file from another checkpoint of the same run",
            )


RULE = Rule(
    code="CK734",
    name="state-holds-more",
    severity=Severity.WARNING,
    needs=frozenset({Need.HEADERS}),
    check=check,
    page=__doc__,
)
