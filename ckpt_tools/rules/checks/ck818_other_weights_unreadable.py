"""Every .safetensors file in the folder can be read as one.

Reading a checkpoint reads the weights that belong to it. What else carries the suffix is uploaded
with it and passes for weights: a download that broke off, a page that says "log in", a program,
bytes behind the last tensor that no tool shows.

Leave the file out, or save it again. Of a clone without its large files, fetch them: `git lfs
pull`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ckpt_tools.errors import FormatError
from ckpt_tools.rules.finding import Need, Severity
from ckpt_tools.rules.other_weights import decoded, others
from ckpt_tools.rules.rule import Rule, Violation

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ckpt_tools.rules.rule import Subject
    from ckpt_tools.scan.entry import Entry


def check(subject: Subject) -> Iterator[Violation]:
    """Yield one finding for each file. What was not looked through is CK810's."""
    for entry in others(subject):
        if entry.unread:
            continue
        try:
            decoded(entry)
        except FormatError as error:
            where = f"{error.subject}: " * bool(error.subject)
            yield Violation(
                f"is no safetensors file that can be read: {where}{error.what}",
                entry.path,
                error.subject,
                _next(entry),
            )


def _next(entry: Entry) -> str:
    return (
        "fetch what it points to: git lfs pull"
        if entry.head.startswith(b"version https://git-lfs")
        else "leave it out, or save it again"
    )


RULE = Rule(
    code="CK818",
    name="other-weights-unreadable",
    severity=Severity.ERROR,
    needs=frozenset({Need.FILES}),
    check=check,
    page=__doc__,
    supply_chain=True,
)
