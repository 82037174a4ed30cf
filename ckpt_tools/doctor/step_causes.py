"""Processor steps that NORMAL has and REFLOW lacks, has elsewhere, or has with other settings."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from ckpt_tools.checkpoint.documents import PROCESSORS
from ckpt_tools.diff.compare import differences
from ckpt_tools.diff.model import ValueChange
from ckpt_tools.diff.steps import STEPS, step_changes
from ckpt_tools.doctor.model import Cause, CauseCode, Effect, SettingPair
from ckpt_tools.strict_json.pointer import ABSENT

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ckpt_tools.checkpoint.model import Checkpoint
    from ckpt_tools.diff.steps import StepChange
    from ckpt_tools.doctor.repairs import Repairs

_OF_FILES = frozenset({"/state_file"})
"""Settings of a step that follow from its place."""


def _changes(normal: Checkpoint, reflow: Checkpoint) -> Iterator[tuple[str, StepChange]]:
    """Yield (file, difference) for the processors that both have."""
    for path in PROCESSORS:
        documents = (side.document(path) for side in (normal, reflow))
        a, b = (document.value.get("steps") if document else None for document in documents)
        for found in step_changes(ValueChange(path, STEPS, a, b), differences) or ():
            if found.pointer not in _OF_FILES:
                yield path, found


def step_pairs(normal: Checkpoint, reflow: Checkpoint) -> Iterator[SettingPair]:
    """Yield every difference between the steps of the processors, as a setting."""
    for path, found in _changes(normal, reflow):
        name = f"{path.removeprefix('policy_').removesuffix('.json')}: {found.step}{found.pointer}"
        values = (
            (_spelled(found.a), _spelled(found.b))
            if found.pointer
            else (_place(found.at_a), _place(found.at_b))
        )
        yield SettingPair(name, *values)


def _spelled(value: object) -> str:
    return "absent" if value is ABSENT else json.dumps(value)


def _place(at: int | None) -> str:
    return "absent" if at is None else f"step {at + 1}"


def missing_steps(normal: Checkpoint, reflow: Checkpoint, repairs: Repairs) -> Iterator[Cause]:
    """Yield one cause for the steps that REFLOW lacks, or has in another order."""
    texts: dict[str, list[str]] = {}
    for path, found in _changes(normal, reflow):
        if found.at_b is None:
            texts.setdefault(f"{path} lacks", []).append(found.step)
        elif found.at_a is not None and not found.pointer:
            texts.setdefault(f"{path} has in another place", []).append(found.step)
    if texts:
        listed = "; ".join(f"{what} {', '.join(names)}" for what, names in texts.items())
        what = f"the processors do not have NORMAL's steps: {listed}"
        yield Cause(CauseCode.PROCESSORS_BROKEN, Effect.WRONG, what, repairs.processors())
