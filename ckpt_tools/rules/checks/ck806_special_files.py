"""There are only files, folders and links.

A named pipe makes whoever opens it wait for ever; a device or a socket has no bytes to upload. None
belongs in a checkpoint. The gate never opens one.

Remove it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ckpt_tools.rules.finding import Need, Severity
from ckpt_tools.rules.rule import Rule, Violation

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ckpt_tools.rules.rule import Subject

_WORDS = {
    "pipe": "a named pipe, at which a reader waits for ever",
    "socket": "a socket",
    "device": "a device",
}


def check(subject: Subject) -> Iterator[Violation]:
    """Yield one finding for each of them."""
    for entry in subject.entries or ():
        if entry.kind in _WORDS:
            yield Violation(f"is {_WORDS[entry.kind]}", entry.path, next="remove it")


RULE = Rule(
    code="CK806",
    name="special-file",
    severity=Severity.ERROR,
    needs=frozenset({Need.FILES}),
    check=check,
    page=__doc__,
    supply_chain=True,
)
