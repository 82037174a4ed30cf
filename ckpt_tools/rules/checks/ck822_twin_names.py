"""No two names are one name to another file system.

macOS and Windows take Config.json and config.json for one file, and macOS takes two spellings of
one letter with an accent for one. Of two such files one is left after a download, and nobody knows
which: what was checked is not what is loaded.

Rename one, or leave it out.
"""

from __future__ import annotations

import unicodedata
from collections import defaultdict
from typing import TYPE_CHECKING

from ckpt_tools.rules.finding import Need, Severity
from ckpt_tools.rules.rule import Rule, Violation

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ckpt_tools.rules.rule import Subject


def check(subject: Subject) -> Iterator[Violation]:
    """Yield one finding for each name that is another's; for what lies in such a folder none."""
    alike: defaultdict[str, list[str]] = defaultdict(list)
    for entry in subject.entries or ():
        path = entry.path.removesuffix("/")
        folder, _, name = path.rpartition("/")
        alike[f"{folder}/{_folded(name)}"].append(path)
    for paths in alike.values():
        for path in paths[1:]:
            yield Violation(
                f"is the same name as {paths[0]!r} to file systems that fold case or spelling",
                path,
                next="rename one, or leave it out",
            )


def _folded(name: str) -> str:
    return (
        name.lower()
        if name.isascii()
        else unicodedata.normalize("NFC", unicodedata.normalize("NFC", name).casefold())
    )


RULE = Rule(
    code="CK822",
    name="twin-names",
    severity=Severity.WARNING,
    needs=frozenset({Need.FILES}),
    check=check,
    page=__doc__,
    supply_chain=True,
)
