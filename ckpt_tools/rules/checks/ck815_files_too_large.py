"""Files and folders are of sizes that the Hub takes.

The Hub refuses files of more than 50 GB, and folders of more than 10,000 files or repositories of
more than 100,000 become slow to list, to clone and to load.

`ckpt reshard` splits weights into smaller files. Pack what are many small files, or leave them out.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from ckpt_tools.rules.finding import Need, Severity
from ckpt_tools.rules.profiles import profile_of
from ckpt_tools.rules.rule import Rule, Violation

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ckpt_tools.rules.rule import Subject


def check(subject: Subject) -> Iterator[Violation]:
    """Yield an error for each file that is too large, and notes on folders of very many files."""
    profile, entries = profile_of(subject), subject.entries or ()
    counts: Counter[str] = Counter()
    for entry in entries:
        if entry.kind != "folder":
            counts[entry.path.rpartition("/")[0]] += 1
        if entry.size > profile.largest:
            words = (
                f"has {entry.size:,} bytes, more than the {profile.largest:,} that the Hub takes"
            )
            yield Violation(words, entry.path, next="split it: ckpt reshard")
    for folder, count in counts.items():
        if count > profile.many:
            yield Violation(
                f"holds {count:,} files, more than {profile.many:,}",
                f"{folder}/" * bool(folder),
                next=_FEWER,
                severity=Severity.NOTE,
            )
    if counts.total() > profile.most:
        yield Violation(
            f"holds {counts.total():,} files in all, more than {profile.most:,}",
            next=_FEWER,
            severity=Severity.NOTE,
        )


_FEWER = "leave out what is not needed"


RULE = Rule(
    code="CK815",
    name="files-too-large",
    severity=Severity.ERROR,
    needs=frozenset({Need.FILES}),
    check=check,
    page=__doc__,
    supply_chain=True,
)
