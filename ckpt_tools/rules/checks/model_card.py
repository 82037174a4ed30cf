"""The rule about the model card: README.md and its YAML front matter."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from ckpt_tools.rules.finding import Need, Severity
from ckpt_tools.rules.profiles import LEROBOT, profile_of
from ckpt_tools.rules.rule import Violation, rule
from ckpt_tools.strict_json.yaml_text import plain_yaml
from ckpt_tools.upload.card import CODE, NAME, is_filled

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ckpt_tools.rules.profiles import Profile
    from ckpt_tools.rules.rule import Subject

_MAX_LENGTH = 64 << 10
_EXACT = {"lerobot": {"library_name": "lerobot", "pipeline_tag": "robotics"}}
_UNFILLED_TITLE = re.compile(r"^#+ .*\{\{.*\}\}", re.MULTILINE)


@rule(CODE, "model-card", Severity.WARNING, needs=Need.FILES, supply_chain=True)
def model_card(subject: Subject) -> Iterator[Violation]:
    """The model card is missing, or lacks what the profile requires.

    The Hub reads the YAML front matter of README.md: without a license nobody may use the model,
    without a pipeline tag or a base model it cannot be found, and its origin is unknown. LeRobot's
    profile requires license, library_name (lerobot) and pipeline_tag (robotics), transformers'
    license and one of pipeline_tag and base_model, generic license. Placeholders that a template
    left do not count: `???`, `[More Information Needed]`, a title `# {{ model_id }}`. The front
    matter is plain YAML without anchors: a few lines of them can expand beyond all memory.

    A card that says something wrong is a warning. A missing card is a note: LeRobot and the Hub
    write one when a model is pushed. If yours must have one, set `CK813 = "error"` in `ckpt.toml`.

    Write README.md with a front matter between two lines `---`. For a LeRobot policy,
    `ckpt upload REPO WHERE --card --license ID` writes it from the configs.

    Bad:

        a README.md without front matter, license: "???"

    Good:

        license: apache-2.0
        library_name: lerobot
        pipeline_tag: robotics
    """
    profile = profile_of(subject)
    if not profile.card:
        return
    text = next((entry.text for entry in subject.entries or () if entry.path == NAME), None)
    if text is None:
        remedy = (
            f"write one, with {', '.join(profile.card).replace('|', ' or ')} in its front matter"
        )
        if profile.name == LEROBOT.name:
            remedy += ", or let `ckpt upload REPO WHERE --card --license ID` write it"
        yield Violation("is missing", NAME, next=remedy, severity=Severity.NOTE)
        return
    front, fault = _front_matter(text)
    if fault:
        yield Violation(fault, NAME, next="start it with a line ---, YAML, and a line ---")
        return
    yield from _key_faults(front, profile)
    unfilled = _UNFILLED_TITLE.search(text.partition("```")[0])
    if unfilled:
        what = f"has the title of a template: {unfilled[0][:60]!r}"
        yield Violation(what, NAME, next="write the model's name")


def _key_faults(front: dict[str, object], profile: Profile) -> Iterator[Violation]:
    for item in profile.card:
        keys, name = item.split("|"), item.replace("|", " or ")
        given = [front[key] for key in keys if front.get(key)]
        if not given:
            remedy = f'add it: profile "{profile.name}" requires it'
            yield Violation(f"has no {name} in its front matter", NAME, name, remedy)
        elif not any(map(is_filled, given)):
            what = f"has a placeholder as {name}: {_shown(given[0])}"
            yield Violation(what, NAME, name, "write the real value")
    for key, value in _EXACT.get(profile.name, {}).items():
        if is_filled(front.get(key)) and front[key] != value:
            what = f"has {key}: {_shown(front[key])}, but a LeRobot policy has {value}"
            yield Violation(what, NAME, key, f"write {key}: {value}")


def _shown(value: object) -> str:
    return repr(value[:60]) if isinstance(value, str) else f"a {type(value).__name__}"


def _front_matter(text: str) -> tuple[dict[str, object], str]:
    """Return the front matter and what is wrong with it, "" for nothing."""
    first, *lines = (line.rstrip() for line in text.removeprefix("\ufeff").splitlines() or ("",))
    if first != "---" or "---" not in lines:
        return {}, "has no front matter"
    front = "\n".join(lines[: lines.index("---")])
    if len(front) > _MAX_LENGTH:
        return {}, "has a front matter of more than 64 kB"
    value, fault = plain_yaml(front)
    if not fault and not isinstance(value, dict):
        fault = "that is not a mapping"
    return (value if isinstance(value, dict) else {}), f"has a front matter {fault}" * bool(fault)
