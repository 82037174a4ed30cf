"""Names are made of characters that can be seen.

A name with a control character, an invisible character, a blank at its ends, or one letter of
another alphabet among ASCII looks like another name and is none: the loader does not find it, and
nobody sees why. Some such characters rewrite what a terminal shows.

`ckpt rename` gives the tensor the name that it looks like. Find out what wrote it.
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
    """Yield one finding for each way in which names are odd."""
    groups: defaultdict[str, list[Tensor]] = defaultdict(list)
    for tensor in subject.checkpoint.tensors:
        kind = _oddity(tensor.name)
        if kind:
            groups[kind].append(tensor)
    for kind, tensors in groups.items():
        yield Violation(f"{amount(tensors)} with {kind}", place(tensors), tensors[0].name)


def _oddity(name: str) -> str:
    """Return what is odd about a name, "" for nothing."""
    if not name:
        return "an empty name"
    if name.isascii() and name.isprintable():
        return "a blank at an end of the name" if name != name.strip() else ""
    if name != name.strip():
        return "a blank at an end of the name"
    hidden = next((character for character in name if not character.isprintable()), "")
    if hidden:
        return f"a character that cannot be seen (U+{ord(hidden):04X}) in the name"
    lone = next((found for segment in name.split(".") if (found := _lone(segment))), "")
    return f"a lone character that is not ASCII (U+{ord(lone):04X}) in the name" if lone else ""


def _lone(segment: str) -> str:
    """Return the character that is not ASCII in a segment whose other letters are.

    "" where more are not.
    """
    others = [character for character in segment if not character.isascii()]
    return (
        others[0]
        if len(set(others)) == 1
        and any(character.isascii() and character.isalpha() for character in segment)
        else ""
    )


RULE = Rule(
    code="CK303",
    name="odd-names",
    severity=Severity.ERROR,
    needs=frozenset({Need.HEADERS}),
    check=check,
    page=__doc__,
    fix="ckpt rename WHERE OLD NEW",
)
