"""The postprocessor denormalises the action where training normalised it.

Without that step, or with the mode IDENTITY in it, the robot gets numbers of the size of one where
it expects degrees or metres. LeRobot does so without a word.

Copy policy_postprocessor.json and its state file from another checkpoint of the same run.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ckpt_tools.rules.finding import Need, Severity
from ckpt_tools.rules.policy_config import SMOLVLA, config_modes, modes
from ckpt_tools.rules.processors import POST, UNNORMALIZER, steps
from ckpt_tools.rules.rule import Rule, Violation

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ckpt_tools.rules.rule import Subject


def check(subject: Subject) -> Iterator[Violation]:
    """Yield one finding."""
    mode = config_modes(subject).get("ACTION", "IDENTITY")
    if mode == "IDENTITY" or subject.checkpoint.document(POST) is None:
        return
    own = [step for step in steps(subject, POST) if step.name == UNNORMALIZER]
    after = "copy the processor and its state file from another checkpoint of the same run"
    if not own:
        yield Violation(
            "no step denormalises the action: the robot gets the policy's own numbers",
            POST,
            "/steps",
            after,
        )
    for step in own:
        if modes(step.config.get("norm_map")).get("ACTION", "IDENTITY") == "IDENTITY":
            what = f"the action is left as it is, and was normalised with {mode}: the robot gets the policy's own numbers"
            yield Violation(what, POST, f"{step.pointer}/config/norm_map/ACTION", after)


RULE = Rule(
    code="CK728",
    name="action-not-denormalised",
    severity=Severity.ERROR,
    needs=frozenset({Need.CONFIG}),
    check=check,
    page=__doc__,
    families=SMOLVLA,
)
