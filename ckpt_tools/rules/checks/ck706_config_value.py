"""Every value in config.json is of the type that LeRobot expects.

LeRobot refuses a word where a number belongs, and 10.0 where 10 does. It reads null for anything,
and falls over it while it builds the policy or later. A number or a boolean in quotes it reads as
what it spells: that is a warning, since nobody else has to.

Write the value as `ckpt config validate` asks for it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ckpt_tools.rules.finding import Need, Severity
from ckpt_tools.rules.policy_config import CONFIG, SMOLVLA, departures, value_of
from ckpt_tools.rules.remedy import Remedy
from ckpt_tools.rules.rule import Rule, Violation

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ckpt_tools.rules.rule import Subject
_OWN = (
    "type",
    "load_vlm_weights",
    "use_cache",
    "num_steps",
    "chunk_size",
    "n_action_steps",
    "normalization_mapping",
    "input_features",
    "output_features",
)
"""Fields with rules of their own.

Of a chunk the sizes are compared elsewhere, their types are not.
"""


def check(subject: Subject) -> Iterator[Violation]:
    """Yield one finding a value."""
    config = value_of(subject, CONFIG)
    schema = subject.schema("smolvla-config")
    for found in departures(
        config, {key: value for key, value in schema.items() if key != "required"}
    ):
        key = found.pointer.split("/")[1] if found.pointer else ""
        if not found.unknown and key not in _OWN:
            read = Severity.WARNING if _spells(config.get(key)) else None
            yield Violation(
                f"{key} {found.what}",
                CONFIG,
                found.pointer,
                Remedy(("ckpt", "config", "WHERE", "set", key, "VALUE")),
                read,
            )


def _spells(value: object) -> bool:
    """Whether a string spells a number or a boolean."""
    return isinstance(value, str) and (
        value in ("true", "false") or value.removeprefix("-").replace(".", "", 1).isdecimal()
    )


RULE = Rule(
    code="CK706",
    name="config-value",
    severity=Severity.ERROR,
    needs=frozenset({Need.CONFIG}),
    check=check,
    page=__doc__,
    families=SMOLVLA,
)
