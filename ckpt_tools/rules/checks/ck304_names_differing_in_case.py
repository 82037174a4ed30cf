"""No two names differ only in their letters' case.

Both are tensors of their own, and a loader takes the one that it knows. Mostly one of them is a
slip, and whoever exports the weights to files or columns whose names have no case loses one of the
two.

Find out which one the model has, and drop or rename the other: `ckpt strip`, `ckpt rename`.
"""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING

from ckpt_tools.rules.finding import Need, Severity
from ckpt_tools.rules.grouping import amount, place
from ckpt_tools.rules.rule import Rule, Violation

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ckpt_tools.checkpoint.model import Tensor
    from ckpt_tools.rules.rule import Subject


def check(subject: Subject) -> Iterator[Violation]:
    """Yield one finding for all such names."""
    alike: defaultdict[str, list[Tensor]] = defaultdict(list)
    for tensor in subject.checkpoint.tensors:
        alike[tensor.name.casefold()].append(tensor)
    groups = [members for members in alike.values() if len({tensor.name for tensor in members}) > 1]
    if groups:
        tensors = [tensor for members in groups for tensor in members]
        example = next(tensor.name for tensor in groups[0] if tensor.name != groups[0][0].name)
        yield Violation(
            f"{amount(tensors)} with names that differ only in case, such as {example!r}",
            place(tensors),
            groups[0][0].name,
        )


RULE = Rule(
    code="CK304",
    name="names-differing-in-case",
    severity=Severity.WARNING,
    needs=frozenset({Need.HEADERS}),
    check=check,
    page=__doc__,
    fix="ckpt rename WHERE OLD NEW",
)
