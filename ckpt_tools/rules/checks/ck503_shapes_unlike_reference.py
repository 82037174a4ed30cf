"""Every tensor has the shape that it has in the reference.

Whoever loads the checkpoint with the reference's config is refused: stock LeRobot says
RuntimeError, size mismatch. The two are models of another size, or one was trained for another
robot's dimensions.

Nothing repairs that. Hold the checkpoint against a reference of its own size.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ckpt_tools.diff.compare import compare
from ckpt_tools.diff.model import Aspect
from ckpt_tools.rules.finding import Need, Severity
from ckpt_tools.rules.grouping import amount, by_part, first_of, place
from ckpt_tools.rules.rule import Rule, Violation

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ckpt_tools.rules.rule import Subject


def check(subject: Subject) -> Iterator[Violation]:
    """Yield one finding for each part of the model."""
    if subject.reference is None:
        return
    diff = compare(subject.reference, subject.checkpoint, aspects={Aspect.SHAPE})
    for part, pairs in by_part(
        subject.family, ((mine.name, (theirs, mine)) for theirs, mine in diff.reshaped)
    ):
        tensors = [mine for _, mine in pairs]
        theirs, mine = pairs[0]
        what = f"{amount(tensors)} of another shape than in the reference ({part}), the first {list(mine.shape)} instead of {list(theirs.shape)}"
        yield Violation(what, place(tensors), first_of(tensors))


RULE = Rule(
    code="CK503",
    name="shapes-unlike-reference",
    severity=Severity.ERROR,
    needs=frozenset({Need.HEADERS, Need.BASELINE}),
    check=check,
    page=__doc__,
    fix="hold it against a reference of its own size",
)
