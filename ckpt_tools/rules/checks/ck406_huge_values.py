"""No weight is beyond all measure.

Weights of a trained network are small; beyond a hundred thousand they are the trace of a training
that diverged, of a wrong dtype, or of bytes that are no weights. F16 ends at 65,504, and BF16 has
no more than three digits there.

Look at the tensors named; integers and statistics do not count.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ckpt_tools.checkpoint.dtype import Dtype
from ckpt_tools.rules.finding import Need, Severity
from ckpt_tools.rules.grouping import by_file, some
from ckpt_tools.rules.rule import Rule, Violation

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ckpt_tools.rules.rule import Subject


LIMIT = 1e5
_FLOATS = frozenset({Dtype.F64, Dtype.F32, Dtype.F16, Dtype.BF16})


def check(subject: Subject) -> Iterator[Violation]:
    """Yield one finding a file."""
    for path, found in by_file(
        subject,
        lambda tensor, facts: tensor.dtype in _FLOATS and max(-facts.low, facts.high) > LIMIT,
    ):
        largest = max(max(-facts.low, facts.high) for _, facts in found)
        yield Violation(
            f"values as large as {largest:.2g} in {some(found)}",
            path,
            found[0][0].name,
            "look at what wrote them: weights are smaller",
        )


RULE = Rule(
    code="CK406",
    name="huge-values",
    severity=Severity.WARNING,
    needs=frozenset({Need.VALUES}),
    check=check,
    page=__doc__,
)
