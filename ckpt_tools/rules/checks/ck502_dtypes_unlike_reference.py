"""Every tensor has the dtype that it has in the reference.

Another dtype is loaded without a word. A wider one makes the file larger and loses nothing, a
narrower one has lost bits already.

`ckpt sanitize --reference REFERENCE` casts back what can be cast without a loss.
"""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING

from ckpt_tools.diff.compare import compare
from ckpt_tools.diff.model import Aspect
from ckpt_tools.rules.finding import Need, Severity
from ckpt_tools.rules.grouping import amount, first_of, place
from ckpt_tools.rules.rule import Rule, Violation

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ckpt_tools.checkpoint.model import Tensor
    from ckpt_tools.rules.rule import Subject


def check(subject: Subject) -> Iterator[Violation]:
    """Yield one finding for each pair of dtypes."""
    if subject.reference is None:
        return
    groups: defaultdict[tuple[str, str], list[Tensor]] = defaultdict(list)
    for theirs, mine in compare(
        subject.reference, subject.checkpoint, aspects={Aspect.DTYPE}
    ).retyped:
        groups[mine.dtype.label, theirs.dtype.label].append(mine)
    for (dtype, normal), tensors in groups.items():
        words = subject.family.parts(tensor.name for tensor in tensors)
        yield Violation(
            f"{amount(tensors)} in {dtype}, and {normal} in the reference ({words})",
            place(tensors),
            first_of(tensors),
        )


RULE = Rule(
    code="CK502",
    name="dtypes-unlike-reference",
    severity=Severity.WARNING,
    needs=frozenset({Need.HEADERS, Need.BASELINE}),
    check=check,
    page=__doc__,
    fix="ckpt sanitize WHERE --reference NORMAL",
)
