"""No other weight file holds a teacher.

CK301 finds a teacher among the checkpoint's own weights. A teacher in a file beside them, or in a
folder below, goes to the Hub all the same: whoever may not publish it has published it.

Leave the file out.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ckpt_tools.checkpoint.names import unwrapped
from ckpt_tools.families.family import TEACHER_PREFIXES
from ckpt_tools.rules.finding import Need, Severity
from ckpt_tools.rules.other_weights import readable
from ckpt_tools.rules.rule import Rule, Violation

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ckpt_tools.rules.rule import Subject


def check(subject: Subject) -> Iterator[Violation]:
    """Yield one finding for each file and prefix."""
    for entry, header in readable(subject):
        for prefix in TEACHER_PREFIXES:
            held = [
                tensor for tensor in header.tensors if unwrapped(tensor.name).startswith(prefix)
            ]
            if held:
                nbytes = sum(tensor.nbytes for tensor in held)
                words = f"holds {len(held):,} tensors under `{prefix}`, {nbytes:,} bytes"
                yield Violation(
                    words,
                    entry.path,
                    held[0].name,
                    "leave it out, or take the teacher out of it: ckpt strip",
                )


RULE = Rule(
    code="CK820",
    name="other-weights-teacher",
    severity=Severity.ERROR,
    needs=frozenset({Need.FILES}),
    check=check,
    page=__doc__,
    supply_chain=True,
)
