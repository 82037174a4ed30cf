"""No file says where somebody's home is.

Training writes absolute paths into train_config.json and cards: they tell a user's name and how a
machine is laid out, and lead nowhere for everybody else. Homes are looked for under mounts (/mnt/c,
/nfs) too, and /scratch/NAME, /media/NAME and ~NAME count. Names that images and instructions use
(user, ubuntu, runner, …) are nobody's. The name is not shown here either.

Write a name on the Hub instead, or a relative path; `ckpt sanitize` removes a teacher's path. What
must stay can be lived with in ckpt.toml.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ckpt_tools.rules.finding import Need, Severity
from ckpt_tools.rules.rule import Rule, Violation
from ckpt_tools.scan.home_paths import hidden, homes

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ckpt_tools.rules.rule import Subject

_MANY = 20


def check(subject: Subject) -> Iterator[Violation]:
    """Yield one finding for each home in each file."""
    for entry in subject.entries or ():
        seen: set[str] = set()
        for text, _ in entry.texts:
            seen.update(homes(text))
        for home in sorted(seen)[:_MANY]:
            yield Violation(
                f"holds a path into {hidden(home)}",
                entry.path,
                hidden(home),
                "write a name on the Hub or a relative path instead",
            )


RULE = Rule(
    code="CK811",
    name="personal-path",
    severity=Severity.WARNING,
    needs=frozenset({Need.FILES}),
    check=check,
    page=__doc__,
    supply_chain=True,
)
