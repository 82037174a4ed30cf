"""Every file that the profile asks for is there.

An upload without its weights or its config is an upload that nobody can use, and the gate cannot
judge what is not there: LeRobot's profile asks for config.json and model.safetensors, transformers'
for config.json and a .safetensors file, generic for a .safetensors file. That one may lie in a
folder below, as the parts of a diffusers pipeline do.

Save the checkpoint again, or name the folder that holds it.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from ckpt_tools.checkpoint.shard_index import INDEX_SUFFIX
from ckpt_tools.rules.finding import Need, Severity
from ckpt_tools.rules.profiles import GENERIC, matches, profile_of
from ckpt_tools.rules.rule import Rule, Violation

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ckpt_tools.rules.profiles import Choice
    from ckpt_tools.rules.rule import Subject


def check(subject: Subject, choose: Choice = profile_of) -> Iterator[Violation]:
    """Yield one finding for each glob that no file in the folder meets."""
    profile = choose(subject)
    is_deep = profile.name == GENERIC.name
    files = (
        entry.path
        for entry in subject.entries or ()
        if entry.kind in ("file", "link") and (is_deep or "/" not in entry.path)
    )
    names = [path for path in files if not _is_state(path)]
    for glob in profile.required:
        if not any(matches(name, (glob,)) for name in names):
            yield Violation(
                "is not there",
                glob,
                next=f"the profile {profile.name} asks for it: save the checkpoint again",
            )


def is_collection(subject: Subject, choose: Choice) -> bool:
    """Whether a folder holds weights that are no one checkpoint.

    The parts of a pipeline, or several LoRAs. The profile generic takes it as it is.
    """
    paths = [entry.path for entry in subject.entries or () if entry.kind in ("file", "link")]
    weights = [path for path in paths if path.endswith(".safetensors") and not _is_state(path)]
    is_one = any(
        "/" not in path and (path == "model.safetensors" or path.endswith(INDEX_SUFFIX))
        for path in paths
    )
    return bool(weights) and not is_one and choose(subject).name == GENERIC.name


def _is_state(name: str) -> bool:
    """Whether a file holds the state of a processor, which is no model's weights."""
    return name.startswith(("policy_preprocessor_", "policy_postprocessor_"))


def rule(choose: Choice) -> Rule:
    """Return the rule for the profile that `choose` says."""
    return Rule(
        code="CK816",
        name="required-file",
        severity=Severity.ERROR,
        needs=frozenset({Need.FILES}),
        check=partial(check, choose=choose),
        page=__doc__,
        supply_chain=True,
    )


RULE = rule(profile_of)
