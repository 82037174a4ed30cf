"""Keys and values of the metadata are short text that can be shown.

`__metadata__` is read whole whenever a file is opened, before any weight is. Megabytes of it are
somebody's notes, an embedded config or something hidden; and characters that cannot be shown
rewrite what a terminal shows.

Move what is worth keeping to a file of its own, and set the entry to something short: `ckpt plan`
with `metadata`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ckpt_tools.rules.finding import Need, Severity
from ckpt_tools.rules.rule import Rule, Violation

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ckpt_tools.checkpoint.model import TensorFile
    from ckpt_tools.rules.rule import Subject

LIMIT = 1 << 20
"""Characters. No model card is as long."""

_SHOWN = 100
_LINES = str.maketrans("", "", "\n\r\t")


def check(subject: Subject) -> Iterator[Violation]:
    """Yield one finding for each file and way of being odd."""
    for file in (*subject.checkpoint.weights, *subject.checkpoint.states):
        yield from _of(file)


def _of(file: TensorFile) -> Iterator[Violation]:
    entries = file.metadata or ()
    long = [
        (key, max(len(key), len(value)))
        for key, value in entries
        if max(len(key), len(value)) > LIMIT
    ]
    odd = [
        key
        for key, value in entries
        if not (key.isprintable() and value.translate(_LINES).isprintable())
    ]
    if long:
        key, size = max(long, key=lambda pair: pair[1])
        what = f"{_entries(len(long))} of the metadata longer than {LIMIT:,} characters, the longest {size:,}"
        yield Violation(what, file.path, f"__metadata__/{key[:_SHOWN]}")
    if odd:
        yield Violation(
            f"{_entries(len(odd))} of the metadata with characters that cannot be shown",
            file.path,
            f"__metadata__/{odd[0][:_SHOWN]}",
        )


def _entries(number: int) -> str:
    return "1 entry" if number == 1 else f"{number:,} entries"


RULE = Rule(
    code="CK611",
    name="odd-metadata",
    severity=Severity.WARNING,
    needs=frozenset({Need.HEADERS}),
    check=check,
    page=__doc__,
    fix="ckpt plan WHERE RECIPE, with `metadata` in the recipe",
)
