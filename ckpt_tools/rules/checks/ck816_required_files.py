"""Every file that the profile asks for is there.

An upload without its weights or its config is an upload that nobody can use, and the gate cannot
judge what is not there: LeRobot's profile asks for config.json and model.safetensors, transformers'
for config.json and a .safetensors file, generic for a .safetensors file. That one may lie in a
folder below, as the parts of a diffusers pipeline do.

Save the checkpoint again, or name the folder that holds it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ckpt_tools.rules.finding import Need, Severity
from ckpt_tools.rules.profiles import GENERIC, is_state, matches, profile_of
from ckpt_tools.rules.rule import Rule, Violation

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ckpt_tools.rules.rule import Subject


def check(subject: Subject) -> Iterator[Violation]:
    """Yield one finding for each glob that no file in the folder meets."""
    profile = profile_of(subject)
    is_deep = profile.name == GENERIC.name
    files = (
        entry.path
        for entry in subject.entries or ()
        if entry.kind in ("file", "link") and (is_deep or "/" not in entry.path)
    )
    names = [path for path in files if not is_state(path)]
    for glob in profile.required:
        if not any(matches(name, (glob,)) for name in names):
            yield Violation(
                "is not there",
                glob,
                next=f"the profile {profile.name} asks for it: save the checkpoint again",
            )


RULE = Rule(
    code="CK816",
    name="required-file",
    severity=Severity.ERROR,
    needs=frozenset({Need.FILES}),
    check=check,
    page=__doc__,
    supply_chain=True,
)
