"""The folder holds a model card that says what the profile asks for.

The Hub reads the YAML front matter of README.md: without a licence nobody may use the model, without a pipeline tag or a base model nobody finds it, and
what it was made from is not told. LeRobot's profile asks for license, library_name and pipeline_tag, transformers' for license and one of pipeline_tag and
base_model, generic for license.

Write README.md with a front matter between two lines `---`.
"""

from __future__ import annotations

import importlib
from functools import partial
from typing import TYPE_CHECKING

from ckpt_tools.records.finding import Need, Severity
from ckpt_tools.rules.profiles import profile_of
from ckpt_tools.rules.rule import Found, Rule

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ckpt_tools.rules.profiles import Choice
    from ckpt_tools.rules.rule import Subject

_CARD = "README.md"
_LIMIT = 64 << 10


def check(subject: Subject, choose: Choice = profile_of) -> Iterator[Found]:
    """Yield one finding for a card that is missing or cannot be read, or one for each key that it lacks."""
    profile = choose(subject)
    if not profile.card:
        return
    text = next((entry.text for entry in subject.entries or () if entry.path == _CARD), None)
    if text is None:
        yield Found("is not there", _CARD, next=f"write one, with {' and '.join(profile.card)} in its front matter")
        return
    front, fault = _front_matter(text)
    if fault:
        yield Found(fault, _CARD, next="start it with a line ---, YAML, and a line ---")
        return
    for asked in profile.card:
        if not any(front.get(key) for key in asked.split("|")):
            words = " or ".join(asked.split("|"))
            yield Found(f"says no {words} in its front matter", _CARD, words, f"add it; the profile {profile.name} asks for it")


def _front_matter(text: str) -> tuple[dict[str, object], str]:
    """Return (what the front matter says, what is wrong with it)."""
    lines = text.removeprefix("\ufeff").splitlines()
    if not lines or lines[0].rstrip() != "---" or "---" not in (line.rstrip() for line in lines[1:]):
        return {}, "has no front matter"
    end = next(number for number, line in enumerate(lines[1:], 1) if line.rstrip() == "---")
    front = "\n".join(lines[1:end])
    if len(front) > _LIMIT:
        return {}, "has a front matter of more than 64 kB"
    yaml = importlib.import_module("yaml")
    try:
        value = yaml.load(front, Loader=yaml.SafeLoader)
    except (yaml.YAMLError, ValueError, OverflowError, RecursionError):
        return {}, "has a front matter that is no YAML"
    return (value, "") if isinstance(value, dict) else ({}, "has a front matter that is no mapping")


def rule(choose: Choice) -> Rule:
    """Return the rule for the profile that `choose` says."""
    return Rule(
        code="CK813",
        name="model-card",
        severity=Severity.WARNING,
        needs=frozenset({Need.FILES}),
        check=partial(check, choose=choose),
        page=__doc__,
        supply_chain=True,
    )


RULE = rule(profile_of)
