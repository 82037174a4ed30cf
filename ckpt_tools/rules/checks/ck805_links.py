"""No link leads out of the folder.

What a link leads to is uploaded under the link's name: a file of this machine that nobody meant to
publish, or one that changes without the checkpoint. A link into the folder is worth a note, since
most copies and uploads make a second file of it. Snapshots in the Hugging Face cache are links to
the cache's blobs; those are at home.

Put the file itself there.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ckpt_tools.rules.finding import Need, Severity
from ckpt_tools.rules.rule import Rule, Violation

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ckpt_tools.rules.rule import Subject


def check(subject: Subject) -> Iterator[Violation]:
    """Yield one finding for each link."""
    for entry in subject.entries or ():
        if entry.kind != "link" or (not entry.leaves and "/blobs/" in entry.target):
            continue
        if entry.leaves:
            yield Violation(
                f"is a link to {entry.target!r}, out of the folder",
                entry.path,
                next="put the file itself there, or leave it out",
            )
        else:
            yield Violation(
                f"is a link to {entry.target!r}",
                entry.path,
                next="put the file itself there",
                severity=Severity.NOTE,
            )


RULE = Rule(
    code="CK805",
    name="link",
    severity=Severity.ERROR,
    needs=frozenset({Need.FILES}),
    check=check,
    page=__doc__,
    supply_chain=True,
)
