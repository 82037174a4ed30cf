"""Nothing lies here that an interrupted write or download left.

A half-written file can pass for a whole one, and nobody knows whether the others are of the same
version.

Finish what was interrupted (`ckpt recover`, or the download again), or remove the leftovers.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from ckpt_tools.rules.finding import Need, Severity
from ckpt_tools.rules.remedy import Remedy
from ckpt_tools.rules.rule import Rule, Violation

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ckpt_tools.rules.rule import Subject
_LEFT = re.compile(
    r"\.saving-.*|\.ckpt-work/?|\.ckpt-partial.*|.*\.ckpt-partial|.*\.(?:tmp|temp|partial|part|incomplete|crdownload)|.*~",
    re.ASCII,
)


def check(subject: Subject) -> Iterator[Violation]:
    """Yield one finding for each, and for a folder one for all that lies in it."""
    found: list[str] = []
    for entry in subject.entries or ():
        name = entry.path.removesuffix("/").rpartition("/")[2]
        if _LEFT.fullmatch(name) and not any(
            entry.path.startswith(folder) for folder in found if folder.endswith("/")
        ):
            found.append(entry.path)
            yield Violation(
                "is what an interrupted write left",
                entry.path,
                next=Remedy(("ckpt", "recover", "WHERE")) if "ckpt-" in name else "remove it",
            )


RULE = Rule(
    code="CK744",
    name="leftovers",
    severity=Severity.WARNING,
    needs=frozenset({Need.FILES}),
    check=check,
    page=__doc__,
)
