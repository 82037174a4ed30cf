"""Every suppression in the settings is needed, and none has run out.

A suppression that no finding needs hides the next one that fits it; one that has run out hides
nothing any more, and what it hid is a finding again. The gate tells both as notes, since neither is
the checkpoint's fault. The settings are read by the gate, so this rule finds nothing by itself.

Take it out of ckpt.toml, or look at the finding again and write a later day.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ckpt_tools.rules.finding import Need, Severity
from ckpt_tools.rules.rule import Rule, Violation

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ckpt_tools.rules.rule import Subject


def check(_subject: Subject) -> Iterator[Violation]:
    """Yield nothing: the gate compares the settings with what all other rules found."""
    yield from ()


RULE = Rule(
    code="CK817",
    name="stale-suppression",
    severity=Severity.NOTE,
    needs=frozenset({Need.FILES}),
    check=check,
    page=__doc__,
    supply_chain=True,
)
