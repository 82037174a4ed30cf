"""Normalisation is in the processor files, not among the weights.

LeRobot 0.3 kept the statistics by which it normalises in the policy, as `normalize_inputs.buffer_*`
and the like. Since 0.4 they are in the processors' files; a newer LeRobot drops the buffers with a
warning, and a checkpoint that has no processors beside them acts unnormalised, or does not load.

Migrate the checkpoint with LeRobot's `lerobot/processor/migrate_policy_normalization.py`. If the
processors are there already, `ckpt strip` drops the buffers.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ckpt_tools.families.smolvla.components import NORMALISATION
from ckpt_tools.rules.finding import Need, Severity
from ckpt_tools.rules.grouping import amount, first_of, place
from ckpt_tools.rules.rule import Rule, Violation

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ckpt_tools.rules.rule import Subject


def check(subject: Subject) -> Iterator[Violation]:
    """Yield one finding for all buffers."""
    tensors = [
        tensor
        for tensor in subject.checkpoint.tensors
        if subject.family.component(tensor.name) == NORMALISATION
    ]
    if tensors:
        yield Violation(
            f"{amount(tensors)} of normalisation statistics, as LeRobot 0.3 saved them: later releases drop them",
            place(tensors),
            first_of(tensors),
        )


RULE = Rule(
    code="CK310",
    name="normalisation-buffers",
    severity=Severity.WARNING,
    needs=frozenset({Need.HEADERS}),
    check=check,
    page=__doc__,
    fix="migrate it with lerobot/processor/migrate_policy_normalization.py",
    families=frozenset({"smolvla"}),
)
