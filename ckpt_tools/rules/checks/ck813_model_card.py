"""The folder holds a model card that says what the profile asks for.

The Hub reads the YAML front matter of README.md: without a licence nobody may use the model,
without a pipeline tag or a base model nobody finds it, and what it was made from is not told.
LeRobot's profile asks for license, library_name (lerobot) and pipeline_tag (robotics),
transformers' for license and one of pipeline_tag and base_model, generic for license. What a
template left says nothing: `???`, `[More Information Needed]`, a title `# {{ model_id }}`. The
front matter is plain YAML without anchors: a few lines of them can stand for more than a machine
holds.

Write README.md with a front matter between two lines `---`.
"""

from __future__ import annotations

import importlib
import re
from typing import TYPE_CHECKING, Any

from ckpt_tools.rules.finding import Need, Severity
from ckpt_tools.rules.profiles import profile_of
from ckpt_tools.rules.rule import Rule, Violation

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ckpt_tools.rules.rule import Subject

_CARD = "README.md"
_LIMIT = 64 << 10
_DEPTH = 50
_NOTHING = frozenset(
    (
        "unset",
        "none",
        "null",
        "todo",
        "tbd",
        "fixme",
        "n/a",
        "na",
        "placeholder",
        "example",
        "license",
        "your-license",
        "xxx",
    )
)
_ID = re.compile(r"[A-Za-z0-9][\w .+/@:-]*", re.ASCII)
_MUST = {"lerobot": {"library_name": "lerobot", "pipeline_tag": "robotics"}}
_LEFT = re.compile(r"^#+ .*\{\{.*\}\}", re.MULTILINE)


def check(subject: Subject) -> Iterator[Violation]:
    """Yield one finding for a card that is missing or cannot be read, or one for each key that it lacks."""
    profile = profile_of(subject)
    if not profile.card:
        return
    text = next((entry.text for entry in subject.entries or () if entry.path == _CARD), None)
    if text is None:
        yield Violation(
            "is not there",
            _CARD,
            next=f"write one, with {' and '.join(profile.card)} in its front matter",
        )
        return
    front, fault = _front_matter(text)
    if fault:
        yield Violation(fault, _CARD, next="start it with a line ---, YAML, and a line ---")
        return
    for asked in profile.card:
        keys, words = asked.split("|"), " or ".join(asked.split("|"))
        if not any(front.get(key) for key in keys):
            yield Violation(
                f"says no {words} in its front matter",
                _CARD,
                words,
                f"add it; the profile {profile.name} asks for it",
            )
        elif not any(_says(front.get(key)) for key in keys):
            yield Violation(
                f"says {_shown(front.get(keys[0]) or front.get(keys[-1]))} as {words}, which says nothing",
                _CARD,
                words,
                "write what is true",
            )
    for key, value in _MUST.get(profile.name, {}).items():
        if _says(front.get(key)) and front[key] != value:
            yield Violation(
                f"says {key}: {_shown(front[key])}, and a policy of LeRobot has {value}",
                _CARD,
                key,
                f"write {key}: {value}",
            )
    left = _LEFT.search(text.partition("```")[0])
    if left:
        yield Violation(
            f"has a title that a template left: {left[0][:60]!r}", _CARD, next="write what it is"
        )


def _shown(value: object) -> str:
    return repr(value[:60]) if isinstance(value, str) else f"a {type(value).__name__}"


def _says(value: object) -> bool:
    """Whether a value in the front matter can be a name, or a list of names, and is not what a template leaves for somebody to fill in."""
    values = value if isinstance(value, list) else [value]
    return bool(values) and all(isinstance(one, str) and _is_name(one) for one in values)


def _is_name(word: str) -> bool:
    return (
        _ID.fullmatch(word) is not None
        and word.lower() not in _NOTHING
        and "information needed" not in word.lower()
    )


def _front_matter(text: str) -> tuple[dict[str, object], str]:
    """Return (what the front matter says, what is wrong with it)."""
    lines = text.removeprefix("\ufeff").splitlines()
    if (
        not lines
        or lines[0].rstrip() != "---"
        or "---" not in (line.rstrip() for line in lines[1:])
    ):
        return {}, "has no front matter"
    end = next(number for number, line in enumerate(lines[1:], 1) if line.rstrip() == "---")
    front = "\n".join(lines[1:end])
    if len(front) > _LIMIT:
        return {}, "has a front matter of more than 64 kB"
    yaml = importlib.import_module("yaml")
    try:
        fault = _bomb(yaml, front)
        value = {} if fault else yaml.load(front, Loader=yaml.SafeLoader)
    except Exception:  # noqa: BLE001 - the library raises a dozen kinds of errors on tags and values that do not fit
        return {}, "has a front matter that is no YAML"
    if fault:
        return {}, fault
    return (value, "") if isinstance(value, dict) else ({}, "has a front matter that is no mapping")


def _bomb(yaml: Any, front: str) -> str:  # noqa: ANN401 - the module, which is imported late
    """Return what in a front matter could cost a machine, "" for nothing.

    Reading it token by token costs nothing that its size does not say.
    """
    depth = 0
    for token in yaml.scan(front, Loader=yaml.SafeLoader):
        if isinstance(token, yaml.AnchorToken | yaml.AliasToken):
            return "has a front matter with anchors or aliases, which can stand for more than a machine holds"
        opens = (
            yaml.FlowSequenceStartToken,
            yaml.FlowMappingStartToken,
            yaml.BlockSequenceStartToken,
            yaml.BlockMappingStartToken,
        )
        depth += isinstance(token, opens) - isinstance(
            token, yaml.FlowSequenceEndToken | yaml.FlowMappingEndToken | yaml.BlockEndToken
        )
        if depth > _DEPTH:
            return f"has a front matter of more than {_DEPTH} lists or mappings in one another"
    return ""


RULE = Rule(
    code="CK813",
    name="model-card",
    severity=Severity.WARNING,
    needs=frozenset({Need.FILES}),
    check=check,
    page=__doc__,
    supply_chain=True,
)
