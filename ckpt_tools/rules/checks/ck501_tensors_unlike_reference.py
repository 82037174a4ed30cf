"""The checkpoint has the tensors of the reference, under the same names.

The reference is a checkpoint that is known to load. What it has and this one lacks, the loader
leaves at random values; what only this one has, it drops, and everybody downloads in vain; what
stands under another name is both.

`ckpt diff REFERENCE CHECKPOINT` shows each. `ckpt sanitize` repairs what training leaves behind,
`ckpt rename` names.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ckpt_tools.diff.compare import compare
from ckpt_tools.diff.model import Aspect, RenameKind
from ckpt_tools.families.family import TEACHER_PREFIXES
from ckpt_tools.rules.finding import Need, Severity
from ckpt_tools.rules.grouping import amount, first_of, only_file, parts, place
from ckpt_tools.rules.remedy import Remedy
from ckpt_tools.rules.rule import Rule, Violation
from ckpt_tools.text import count

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ckpt_tools.diff.model import Diff
    from ckpt_tools.rules.rule import Subject


def check(subject: Subject) -> Iterator[Violation]:
    """Yield one finding for each part that is missing or too much, and for each rename.

    A teacher's and wrapped names have rules of their own.
    """
    if subject.reference is None:
        return
    diff = compare(subject.reference, subject.checkpoint, aspects={Aspect.KEYS})
    yield from _missing(subject, diff)
    extra = [tensor for tensor in diff.only_b if not tensor.name.startswith(TEACHER_PREFIXES)]
    for part, members in parts(subject.family, extra):
        what = f"{amount(members)} that the reference does not have ({part})"
        yield Violation(
            what,
            place(members),
            first_of(members),
            Remedy(("ckpt", "strip", "WHERE", "NAME"), "{} removes them if nothing uses them"),
            Severity.WARNING,
        )
    for rename in diff.renamed:
        if rename.kind is not RenameKind.WRAPPER:
            members = [mine for _, mine in rename.pairs]
            old, new = (
                f"`{side}`" if side else "the model itself" for side in (rename.old, rename.new)
            )
            what = (
                f"{count(len(members), 'tensor')} under {new} that the reference has under {old}"
                if rename.kind is RenameKind.PREFIX
                else _renamed(len(members), old, new)
            )
            yield Violation(
                what,
                place(members),
                first_of(members),
                Remedy(
                    ("ckpt", "rename", "WHERE", "OLD", "NEW"),
                    "{}, or ckpt sanitize for a teacher's",
                ),
            )


def _renamed(number: int, old: str, new: str) -> str:
    return f"{count(number, 'tensor')} called {new} and in the reference {old}"


def _missing(subject: Subject, diff: Diff) -> Iterator[Violation]:
    """Yield what is missing: an error, or a note for what the loader never looks for."""
    for part, members in parts(subject.family, diff.only_a):
        needed = subject.family.needs(members[0].name)
        means = f": {subject.family.missing}" if needed and subject.family.missing else ""
        what = f"{amount(members)} of the reference missing ({part}){means}"
        after = (
            Remedy(
                ("ckpt", "plan", "WHERE", "RECIPE"),
                "take them from the reference: {}, with `take` in the recipe",
            )
            if needed
            else Remedy(text="nothing to do: the loader does not read them")
        )
        yield Violation(
            what,
            only_file(subject.checkpoint),
            first_of(members),
            after,
            None if needed else Severity.NOTE,
        )


RULE = Rule(
    code="CK501",
    name="tensors-unlike-reference",
    severity=Severity.ERROR,
    needs=frozenset({Need.HEADERS, Need.BASELINE}),
    check=check,
    page=__doc__,
)
