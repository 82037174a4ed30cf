"""Every file is of a type that the profile allows.

A folder that is uploaded whole takes with it what happened to lie there: archives, logs, notebooks,
optimizer state, binaries. Nobody can look into all of them, so the gate lists what belongs in a
checkpoint and refuses the rest. Pictures in SVG and PDF are refused because they can hold scripts,
and requirements.txt (except under generic) because it says what to install: a model card is the
place for both.

Leave the file out, or allow its type in ckpt.toml: `[allow] files = ["*.onnx"]`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ckpt_tools.rules.finding import Need, Severity
from ckpt_tools.rules.profiles import allows, profile_of
from ckpt_tools.rules.rule import Rule, Violation

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ckpt_tools.rules.rule import Subject


_WHY = {
    ".svg": ": it can hold scripts, which a browser runs",
    ".html": ": it can hold scripts, which a browser runs",
    ".pdf": ": it can hold scripts and files",
    "requirements.txt": ": it says what to install, which runs code",
}


def check(subject: Subject) -> Iterator[Violation]:
    """Yield one finding for each file."""
    profile = profile_of(subject)
    for entry in subject.entries or ():
        if entry.kind in ("file", "link") and not allows(profile, entry.path):
            why = next(
                (words for end, words in _WHY.items() if entry.path.lower().endswith(end)), ""
            )
            words = f"is of a type that the profile {profile.name} does not allow{why}"
            yield Violation(
                words,
                entry.path,
                next="leave it out, or allow its type in ckpt.toml: [allow] files",
            )


RULE = Rule(
    code="CK804",
    name="file-type",
    severity=Severity.ERROR,
    needs=frozenset({Need.FILES}),
    check=check,
    page=__doc__,
    supply_chain=True,
)
