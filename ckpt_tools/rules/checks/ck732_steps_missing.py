"""The preprocessor has the steps that SmolVLA and LeRobot's own commands count on.

Without a tokenizer there are no tokens and the first inference fails. `lerobot-eval` and the
asynchronous server set the names of cameras and the device, and refuse a preprocessor without those
steps. Without the newline before the tokenizer the policy reads another prompt than in training:
that works, a little worse.

Copy policy_preprocessor.json from another checkpoint of the same run.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ckpt_tools.rules.finding import Need, Severity
from ckpt_tools.rules.policy_config import SMOLVLA
from ckpt_tools.rules.processors import PRE, steps
from ckpt_tools.rules.rule import Rule, Violation

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ckpt_tools.rules.rule import Subject
_TOKENIZER, _NEWLINE = "tokenizer_processor", "smolvla_new_line_processor"
_NEEDED = {
    _TOKENIZER: "there are no tokens, and the first inference fails",
    "rename_observations_processor": "lerobot-eval refuses the preprocessor",
    "device_processor": "lerobot-eval refuses the preprocessor",
}


def check(subject: Subject) -> Iterator[Violation]:
    """Yield one finding a step."""
    if subject.checkpoint.document(PRE) is None:
        return
    names = [step.name for step in steps(subject, PRE)]
    after = "copy the preprocessor from another checkpoint of the same run"
    for name, why in _NEEDED.items():
        if name not in names:
            yield Violation(f"there is no step {name}: {why}", PRE, "/steps", after)
    if _TOKENIZER in names and _NEWLINE not in names[: names.index(_TOKENIZER)]:
        yield Violation(
            f"no {_NEWLINE} comes before the tokenizer: the prompt is not the one of training",
            PRE,
            "/steps",
            after,
            Severity.WARNING,
        )


RULE = Rule(
    code="CK732",
    name="steps-missing",
    severity=Severity.ERROR,
    needs=frozenset({Need.CONFIG}),
    check=check,
    page=__doc__,
    families=SMOLVLA,
)
