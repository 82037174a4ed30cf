"""No file may be run, and only its owner may write it.

A checkpoint holds nothing to run: an executable file is a script somebody left or a mistake of an
unpacker, and set-user-ID bits lend its owner's rights. What everybody may write can be changed
between the check and the upload.

`chmod 644` the files and `chmod 755` the folders.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ckpt_tools.rules.finding import Need, Severity
from ckpt_tools.rules.rule import Rule, Violation
from ckpt_tools.scan.entry import is_never_uploaded

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ckpt_tools.rules.rule import Subject

_SPECIAL, _RUN, _WORLD = 0o6000, 0o111, 0o002


def check(subject: Subject) -> Iterator[Violation]:
    """Yield one finding for each file or folder."""
    for entry in subject.entries or ():
        if entry.kind not in ("file", "folder") or is_never_uploaded(entry.path):
            continue
        faults = [
            *(
                ["has a set-user-ID or set-group-ID bit"]
                if entry.mode & _SPECIAL and entry.kind == "file"
                else []
            ),
            *(["is executable"] if entry.mode & _RUN and entry.kind == "file" else []),
            *(["can be written by everybody"] if entry.mode & _WORLD else []),
        ]
        if faults:
            yield Violation(
                f"{' and '.join(faults)} (mode {entry.mode:o})",
                entry.path,
                next=f"chmod {'755' if entry.kind == 'folder' else '644'}",
            )


RULE = Rule(
    code="CK814",
    name="mode",
    severity=Severity.WARNING,
    needs=frozenset({Need.FILES}),
    check=check,
    page=__doc__,
    supply_chain=True,
)
