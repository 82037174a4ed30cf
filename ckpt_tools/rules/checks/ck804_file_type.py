"""Every file is of a type that the profile allows.

A folder that is uploaded whole takes with it what happened to lie there: archives, logs, notebooks, optimizer state, binaries. Nobody can look into all of
them, so the gate lists what belongs in a checkpoint and refuses the rest.

Leave the file out, or allow its type in ckpt.toml: `[allow] files = ["*.onnx"]`.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from ckpt_tools.records.finding import Need, Severity
from ckpt_tools.rules.profiles import matches, profile_of
from ckpt_tools.rules.rule import Found, Rule

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ckpt_tools.rules.profiles import Choice
    from ckpt_tools.rules.rule import Subject


def check(subject: Subject, choose: Choice = profile_of) -> Iterator[Found]:
    """Yield one finding for each file."""
    profile = choose(subject)
    for entry in subject.entries or ():
        if entry.kind in ("file", "link") and not matches(entry.path, profile.allowed):
            words = f"is of a type that the profile {profile.name} does not allow"
            yield Found(words, entry.path, next="leave it out, or allow its type in ckpt.toml: [allow] files")


def rule(choose: Choice) -> Rule:
    """Return the rule for the profile that `choose` says."""
    return Rule(
        code="CK804",
        name="file-type",
        severity=Severity.ERROR,
        needs=frozenset({Need.FILES}),
        check=partial(check, choose=choose),
        page=__doc__,
        supply_chain=True,
    )


RULE = rule(profile_of)
