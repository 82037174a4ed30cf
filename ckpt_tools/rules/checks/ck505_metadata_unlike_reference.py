"""The metadata of the weight files says what the reference's says.

Loaders make little of `__metadata__`; some refuse a file without `format`. A difference tells that
something else wrote the file: LeRobot writes none, FSDP and transformers write `format`, training
scripts write what they like.

`ckpt sanitize --reference REFERENCE` writes the reference's.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ckpt_tools.diff.compare import compare
from ckpt_tools.diff.model import Aspect
from ckpt_tools.rules.finding import Need, Severity
from ckpt_tools.rules.grouping import only_file
from ckpt_tools.rules.rule import Rule, Violation
from ckpt_tools.strict_json.pointer import ABSENT

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ckpt_tools.rules.rule import Subject

_LONGEST = 60


def check(subject: Subject) -> Iterator[Violation]:
    """Yield one finding for all entries.

    Names of tensors that are stored under another name have a rule of their own.
    """
    if subject.reference is None:
        return
    aliases = {
        f"/{alias.replace('~', '~0').replace('/', '~1')}"
        for file in subject.checkpoint.weights
        for alias, _ in file.aliases
    }
    changes = compare(subject.reference, subject.checkpoint, aspects={Aspect.METADATA}).metadata
    changes = tuple(change for change in changes if change.pointer not in aliases)
    if changes:
        first = changes[0]
        entries = "1 entry" if len(changes) == 1 else f"{len(changes):,} entries"
        what = f"{entries} of the metadata unlike the reference's, the first {_spelled(first.b)} instead of {_spelled(first.a)}"
        yield Violation(what, only_file(subject.checkpoint), f"__metadata__{first.pointer}")


def _spelled(value: object) -> str:
    text = "absent" if value is ABSENT else repr(value)
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}…"


RULE = Rule(
    code="CK505",
    name="metadata-unlike-reference",
    severity=Severity.NOTE,
    needs=frozenset({Need.HEADERS, Need.BASELINE}),
    check=check,
    page=__doc__,
    fix="ckpt sanitize WHERE --reference NORMAL",
)
