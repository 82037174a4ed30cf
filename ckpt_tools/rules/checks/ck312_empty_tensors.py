"""No tensor is without elements.

No part of the model has a size of 0. An empty tensor is what is left where a sharded parameter was
saved by a process that held none of it (FSDP, DeepSpeed): the weights themselves are lost. Stock
LeRobot refuses it under a name that it knows, and drops it under another.

Save the checkpoint again with the parameters gathered. If nobody needs the tensor, `ckpt strip`
drops it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ckpt_tools.rules.finding import Need, Severity
from ckpt_tools.rules.grouping import first_of, parts, place
from ckpt_tools.rules.rule import Rule, Violation
from ckpt_tools.text import count

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ckpt_tools.rules.rule import Subject


def check(subject: Subject) -> Iterator[Violation]:
    """Yield one finding for each part of the model."""
    for part, members in parts(
        subject.family, [tensor for tensor in subject.checkpoint.tensors if not tensor.parameters]
    ):
        yield Violation(
            f"{count(len(members), 'tensor')} without elements ({part})",
            place(members),
            first_of(members),
        )


RULE = Rule(
    code="CK312",
    name="empty-tensors",
    severity=Severity.WARNING,
    needs=frozenset({Need.HEADERS}),
    check=check,
    page=__doc__,
    fix="save it again with the parameters gathered",
    families=frozenset({"smolvla"}),
)
