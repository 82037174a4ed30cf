"""train_config.json names no places on somebody's machine.

Absolute paths, and those that lead into a home or up, mean nothing elsewhere and tell who trained
where. Resuming elsewhere needs them given again. A relative `output_dir` is what every run has.

Set them to what others can use, or to null: `ckpt config set dataset.root null --file
train_config.json`. What may not be published at all, `ckpt gate` looks for.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ckpt_tools.rules.finding import Need, Severity
from ckpt_tools.rules.policy_config import TRAIN_CONFIG, is_outside, shown, value_of
from ckpt_tools.rules.rule import Rule, Violation
from ckpt_tools.strict_json.parse import escape

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ckpt_tools.rules.rule import Subject


def check(subject: Subject) -> Iterator[Violation]:
    """Yield one finding a path, wherever it stands."""
    for pointer, text in _strings(value_of(subject, TRAIN_CONFIG), ""):
        if is_outside(text):
            yield Violation(
                f"is the path {shown(text)}, which is somebody's own", TRAIN_CONFIG, pointer
            )


def _strings(value: object, pointer: str) -> Iterator[tuple[str, str]]:
    """Yield every string and where it stands."""
    if isinstance(value, str):
        yield pointer, value
    items = (
        value.items()
        if isinstance(value, dict)
        else enumerate(value)
        if isinstance(value, list)
        else ()
    )
    for key, item in items:
        yield from _strings(item, f"{pointer}/{escape(str(key))}")


RULE = Rule(
    code="CK742",
    name="train-config-paths",
    severity=Severity.NOTE,
    needs=frozenset({Need.HEADERS}),
    check=check,
    page=__doc__,
)
