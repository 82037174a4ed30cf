"""No tensor stands under a teacher's name.

Training code that registers its teacher as a submodule saves it with the student. Stock LeRobot
loads such a file: it warns of unexpected keys in one wall of text, drops them, and everybody
downloads twice the bytes. Worse, a student that shares its VLM with the teacher may have lost it
under its own name.

`ckpt sanitize` drops the teacher, and first brings back what only the teacher's names hold.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ckpt_tools.checkpoint.names import unwrapped
from ckpt_tools.families.family import TEACHER_PREFIXES
from ckpt_tools.rules.finding import Need, Severity
from ckpt_tools.rules.rule import Rule, Violation

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ckpt_tools.rules.rule import Subject


def check(subject: Subject) -> Iterator[Violation]:
    """Yield one finding for each weight file and prefix."""
    for file in subject.checkpoint.weights:
        for prefix in TEACHER_PREFIXES:
            held = [tensor for tensor in file.tensors if unwrapped(tensor.name).startswith(prefix)]
            if held:
                nbytes = sum(tensor.nbytes for tensor in held)
                yield Violation(
                    f"holds {len(held):,} tensors under `{prefix}`, {nbytes:,} bytes",
                    file.path,
                    held[0].name,
                )


RULE = Rule(
    code="CK301",
    name="teacher-weights",
    severity=Severity.ERROR,
    needs=frozenset({Need.HEADERS}),
    check=check,
    page=__doc__,
    fix="ckpt sanitize WHERE",
    safe=True,
)
