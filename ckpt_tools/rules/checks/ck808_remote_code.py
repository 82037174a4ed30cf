"""No file is code, and no config asks for code.

`auto_map` names classes in Python files of the repository, and `trust_remote_code` runs them: whoever can write to the repository runs code on the machine
of whoever loads the model. A checkpoint that stock LeRobot or transformers can load needs neither.

Leave the Python files out, and remove the keys: `ckpt config WHERE unset auto_map`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ckpt_tools.records.finding import Need, Severity
from ckpt_tools.rules.json_files import keys
from ckpt_tools.rules.rule import Found, Rule

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ckpt_tools.rules.rule import Subject

_SUFFIXES = (".py", ".pyx", ".pyw", ".pyi", ".ipynb", ".so", ".pyd", ".dll", ".dylib", ".sh", ".bat", ".ps1", ".exe", ".whl", ".egg", ".js")


def check(subject: Subject) -> Iterator[Found]:
    """Yield one finding for each file of code, and one for each key."""
    for entry in subject.entries or ():
        if entry.kind in ("file", "link") and entry.path.lower().endswith(_SUFFIXES):
            yield Found("is code", entry.path, next="leave it out: a checkpoint loads without code of its own")
        elif entry.path.lower().endswith(".json") and entry.text:
            for pointer, key in keys(entry.text, ("auto_map", "trust_remote_code")):
                words = "names code that a loader imports" if key == "auto_map" else "asks the loader to run the repository's code"
                yield Found(words, entry.path, pointer, "remove the key: ckpt config WHERE unset")


RULE = Rule(
    code="CK808",
    name="remote-code",
    severity=Severity.ERROR,
    needs=frozenset({Need.FILES}),
    check=check,
    page=__doc__,
    supply_chain=True,
)
