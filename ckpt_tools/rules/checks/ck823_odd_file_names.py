"""File names are made of characters that can be seen.

A control character in a name rewrites what a terminal or a log shows: a line break and a colour
make a name look like a verdict. A character that turns the direction of writing shows `gnp.exe.md`
as another type than it is, and one of no width makes two names that look the same. No tool writes
such names.

Rename the file, and find out what wrote it.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from ckpt_tools.rules.finding import Need, Severity
from ckpt_tools.rules.rule import Rule, Violation

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ckpt_tools.rules.rule import Subject

_BLANK = re.compile("[\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180f\u2800\u3164\uffa0]")
"""Letters and marks to Unicode, of which nothing is seen.

Variation selectors are none of them: emoji have them.
"""


def check(subject: Subject) -> Iterator[Violation]:
    """Yield one finding for each file, folder or link whose own name is odd.

    For what lies in such a folder none.
    """
    for entry in subject.entries or ():
        hidden = _hidden(entry.path.removesuffix("/").rpartition("/")[2])
        if hidden:
            yield Violation(
                f"has a character that cannot be seen (U+{ord(hidden):04X}) in its name",
                entry.path,
                next="rename it, or leave it out",
            )


def _hidden(name: str) -> str:
    """Return the first character of a name that cannot be seen, "" where all can.

    Controls, marks of direction, those without width, odd blanks.
    """
    if name.isascii() and name.isprintable():
        return ""
    return next(
        (character for character in name if not character.isprintable() or _BLANK.match(character)),
        "",
    )


RULE = Rule(
    code="CK823",
    name="odd-file-names",
    severity=Severity.ERROR,
    needs=frozenset({Need.FILES}),
    check=check,
    page=__doc__,
    supply_chain=True,
)
