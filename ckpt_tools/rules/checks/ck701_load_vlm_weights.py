"""`load_vlm_weights` is true.

It is false by default and in every policy trained from scratch. LeRobot then builds the VLM in F32,
whatever the file holds: more memory, and on a CPU half the speed. null counts as false; any other
value makes it refuse the file.

`ckpt sanitize` sets it. Where the weights themselves were built with false, it can bring them to
the dtypes of a `--reference` too.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ckpt_tools.rules.finding import Need, Severity
from ckpt_tools.rules.policy_config import CONFIG, SMOLVLA, shown, value_of
from ckpt_tools.rules.rule import Rule, Violation
from ckpt_tools.strict_json.pointer import ABSENT

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ckpt_tools.rules.rule import Subject


def check(subject: Subject) -> Iterator[Violation]:
    """Yield one finding, in the family's words for what the loader does."""
    key = "load_vlm_weights"
    value = value_of(subject, CONFIG).get(key, ABSENT)
    judge = next((watched.judge for watched in subject.family.watched if watched.key == key), None)
    fine, does = judge(value) if judge else (True, "")
    if not fine:
        yield Violation(
            f"{key} is {'not there' if value is ABSENT else shown(value)}: stock LeRobot {does}",
            CONFIG,
            f"/{key}",
        )


RULE = Rule(
    code="CK701",
    name="load-vlm-weights",
    severity=Severity.ERROR,
    needs=frozenset({Need.CONFIG}),
    check=check,
    page=__doc__,
    fix="ckpt sanitize WHERE",
    safe=True,
    families=SMOLVLA,
)
