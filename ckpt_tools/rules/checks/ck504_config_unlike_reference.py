"""The config agrees with the reference's in every key that decides which tensors there are, or how they are loaded.

Such a key makes another model of the same file: other layers, a VLM in F32, another scale of time.
Keys of training, of paths and of the machine may differ, and values that mean the same (a reserved
key absent, false or null) count as equal.

`ckpt config CHECKPOINT diff REFERENCE` shows all differences, `ckpt config CHECKPOINT set` changes
a value.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from ckpt_tools.diff.compare import compare
from ckpt_tools.diff.model import Aspect
from ckpt_tools.rules.finding import Need, Severity
from ckpt_tools.rules.rule import Rule, Violation
from ckpt_tools.strict_json.pointer import ABSENT

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ckpt_tools.rules.rule import Subject

_LONGEST = 60


def check(subject: Subject) -> Iterator[Violation]:
    """Yield one finding for each value."""
    if subject.reference is None:
        return
    keys = subject.family.decisive | set(
        subject.family.cleaning.reserved if subject.family.cleaning else ()
    )
    # The name of the VLM is a path on one machine and an address on another.
    milder = {"vlm_model_name": Severity.WARNING}
    for change in compare(
        subject.reference,
        subject.checkpoint,
        aspects={Aspect.CONFIG},
        neutral=subject.family.neutral,
    ).values:
        key = change.pointer.split("/")[1] if change.pointer else ""
        if change.path == "config.json" and key in keys and not change.same_because:
            what = f"is {_spelled(change.b)}, and {_spelled(change.a)} in the reference"
            yield Violation(what, change.path, change.pointer, severity=milder.get(key))


def _spelled(value: object) -> str:
    """Return a value as JSON, cut where it is long."""
    text = "absent" if value is ABSENT else json.dumps(value, default=str)
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}…"


RULE = Rule(
    code="CK504",
    name="config-unlike-reference",
    severity=Severity.ERROR,
    needs=frozenset({Need.CONFIG, Need.BASELINE}),
    check=check,
    page=__doc__,
    fix="ckpt config WHERE diff NORMAL",
)
