"""Every field of config.json is one that the LeRobot to load it knows.

LeRobot refuses a config.json with a field it does not know, whatever its value. Releases add
fields: `pretrained_revision` came with 0.6, and 0.5 refuses a config.json that has it, even null.
`--target lerobot==0.5` says which release the checkpoint is for.

`ckpt sanitize --target lerobot==0.5` takes out what may be left out. Take out what means nothing
with `ckpt config unset`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ckpt_tools.rules.finding import Need, Severity
from ckpt_tools.rules.policy_config import CONFIG, SMOLVLA, shown, value_of
from ckpt_tools.rules.remedy import Remedy
from ckpt_tools.rules.rule import Rule, Violation
from ckpt_tools.strict_json.parse import escape

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ckpt_tools.rules.rule import Subject
_RTC = frozenset(
    {
        "enabled",
        "prefix_attention_schedule",
        "max_guidance_weight",
        "execution_horizon",
        "debug",
        "debug_maxlen",
    }
)


def check(subject: Subject) -> Iterator[Violation]:
    """Yield one finding a field; those of reflow have rules of their own."""
    cleaning, config = subject.family.cleaning, value_of(subject, CONFIG)
    if cleaning is None:
        return
    newer = dict(cleaning.newer.get(subject.target, ()))
    for key, value in config.items():
        if key in newer:
            after = (
                Remedy(("ckpt", "sanitize", "WHERE", "--target", subject.target))
                if value == newer[key]
                else Remedy(text="publish for a newer LeRobot: its value matters")
            )
            yield Violation(
                f"{key} is {shown(value)}: {subject.target} knows no such field and refuses the file",
                CONFIG,
                f"/{key}",
                after,
            )
        elif key not in cleaning.known and key not in cleaning.reserved:
            pointer = f"/{escape(key)}"
            after = Remedy(
                ("ckpt", "config", "WHERE", "unset", key if key.isidentifier() else pointer)
            )
            yield Violation(
                f"stock LeRobot knows no field {shown(key)} and refuses the file",
                CONFIG,
                pointer,
                after,
            )
    chunking = config.get("rtc_config")
    for key in sorted(chunking.keys() - _RTC) if isinstance(chunking, dict) else ():
        yield Violation(
            f"stock LeRobot knows no field {shown(key)} in rtc_config and refuses the file",
            CONFIG,
            f"/rtc_config/{escape(key)}",
        )


RULE = Rule(
    code="CK704",
    name="unknown-field",
    severity=Severity.ERROR,
    needs=frozenset({Need.CONFIG}),
    check=check,
    page=__doc__,
    families=SMOLVLA,
)
