"""No file is a pickle by its content, whatever it is called.

A pickle is a program. It runs when it is loaded, under any name, in a zip (PyTorch), a tar, a numpy
array of objects, or compressed (joblib); scanners have been led past by 7z archives, by archives in
archives, by long strings before the program and by pickles that break off after they have run. So
an archive into which nobody looks counts as a pickle, and so do opcodes without end. What the
opcodes import is named where it can be read, and a pickle is never rated safe by it: names can be
put together when it runs. A text or a file of weights is one where it would import and call
something: words and lengths are opcodes too, and a text that spells a list of numbers harms nobody.

Leave the file out, or save its tensors as safetensors. Never load it to find out what it is.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ckpt_tools.rules.finding import Need, Severity
from ckpt_tools.rules.rule import Rule, Violation

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ckpt_tools.rules.rule import Subject

_NAMED = 5


def check(subject: Subject) -> Iterator[Violation]:
    """Yield one finding for each file."""
    for entry in subject.entries or ():
        if entry.pickle:
            names = ", ".join(entry.imports[:_NAMED]) + ", …" * (len(entry.imports) > _NAMED)
            words = f"; it imports {names}" if names else ""
            yield Violation(
                f"is {entry.pickle}{words}; it is never rated safe",
                entry.path,
                next="save the tensors as safetensors and leave this file out",
            )


RULE = Rule(
    code="CK803",
    name="pickle-content",
    severity=Severity.ERROR,
    needs=frozenset({Need.FILES}),
    check=check,
    page=__doc__,
    supply_chain=True,
)
