"""Weights can be read by whoever can read the config.

The safetensors library leaves what it saves readable for its owner alone (0600), so stock LeRobot's
own checkpoints are like that in the folder they were trained in. On a shared disk or in a container
of another user the policy then fails to load, while its config.json loads well. An upload does not
care.

Give both the same permissions: `chmod a+r *.safetensors`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ckpt_tools.rules.finding import Need, Severity
from ckpt_tools.rules.policy_config import CONFIG
from ckpt_tools.rules.rule import Rule, Violation

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ckpt_tools.rules.rule import Subject
_READ = 0o044


def check(subject: Subject) -> Iterator[Violation]:
    """Yield one finding for all files."""
    modes = {entry.path: entry.mode for entry in subject.entries or () if entry.kind == "file"}
    normal = modes.get(CONFIG, 0) & _READ
    closed = [
        file.path
        for file in (*subject.checkpoint.weights, *subject.checkpoint.states)
        if normal & ~modes.get(file.path, _READ)
    ]
    if closed:
        more = f", as {len(closed) - 1:,} more do" if len(closed) > 1 else ""
        what = f"has the permissions {modes[closed[0]]:04o}{more}, and config.json {modes[CONFIG]:04o}: others can read the one and not the other"
        yield Violation(what, closed[0], next="chmod a+r *.safetensors")


RULE = Rule(
    code="CK745",
    name="unreadable-by-others",
    severity=Severity.NOTE,
    needs=frozenset({Need.FILES}),
    check=check,
    page=__doc__,
)
