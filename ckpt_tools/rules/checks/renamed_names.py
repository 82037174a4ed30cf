"""Tensors under names that an older library gave them, and that today's loader does not know."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ckpt_tools.families.kinds import Kind
from ckpt_tools.rules.finding import Need, Severity
from ckpt_tools.rules.grouping import about
from ckpt_tools.rules.policy_config import policy_type
from ckpt_tools.rules.remedy import Remedy
from ckpt_tools.rules.rule import Violation, rule
from ckpt_tools.text import count

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ckpt_tools.checkpoint.model import Tensor
    from ckpt_tools.rules.rule import Subject

_PALIGEMMA = "paligemma_with_expert.paligemma."
_MOVED = {
    "language_model.model.": "model.language_model.",
    "language_model.lm_head.": "lm_head.",
    "vision_tower.": "model.vision_tower.",
    "multi_modal_projector.": "model.multi_modal_projector.",
}
"""The beginnings that transformers 4.52 changed, after `_PALIGEMMA`."""

_PI = frozenset({"pi0", "pi05", "pi0_fast"})
_FLORENCE = ("model.vlm.image_projection", "model.vlm.language_model.model.")


@rule("CK327", "renamed-names", Severity.ERROR, needs=Need.HEADERS, kinds=(Kind.POLICY,))
def renamed_names(subject: Subject) -> Iterator[Violation]:
    """Tensors under names that today's loader no longer knows.

    transformers 4.52 moved PaliGemma's parts: `paligemma.language_model.model` is
    `paligemma.model.language_model` since. LeRobot 0.3 translated the names of older pi0
    checkpoints, and LeRobot 0.4 to 0.6 do not: loading fails, the failure is printed and swallowed,
    and the policy acts with random weights.

    Rename the tensors; values stay as they are. An X-VLA in the old Florence-2 layout is only
    noted: LeRobot 0.6 translates it, and other programs that read the file may not.

    Bad:

        model.paligemma_with_expert.paligemma.language_model.model.norm.weight

    Good:

        model.paligemma_with_expert.paligemma.model.language_model.norm.weight
    """
    kind = policy_type(subject)
    if kind in _PI:
        yield from _old_paligemma(subject)
    elif kind == "xvla" and (old := _starting(subject, _FLORENCE)):
        yield about(
            old,
            f"{count(len(old), 'tensor')} in the old layout of Florence-2, which LeRobot 0.6"
            " translates when it loads the policy",
            "keep them for LeRobot 0.6; older releases read this layout without translation",
            severity=Severity.NOTE,
        )


def _old_paligemma(subject: Subject) -> Iterator[Violation]:
    for start in (f"model.{_PALIGEMMA}", _PALIGEMMA):
        moved = {
            (f"{start}{old}", f"{start}{new}"): found
            for old, new in _MOVED.items()
            if (found := _starting(subject, (f"{start}{old}",)))
        }
        if moved:
            tensors = [tensor for found in moved.values() for tensor in found]
            yield about(
                tensors,
                f"{count(len(tensors), 'tensor')} under the names of transformers before 4.52:"
                " LeRobot 0.4 and later find none of them, and the policy stays random",
                _command(subject, tuple(moved)),
            )


def _command(subject: Subject, moved: tuple[tuple[str, str], ...]) -> Remedy:
    """Return the command that renames the tensors, where no new name is taken."""
    if _starting(subject, tuple(new for _, new in moved)):
        return Remedy(text="the new names are there too: compare the two copies, and drop one")
    words = (f"{part}**" for pair in moved for part in pair)
    return Remedy(("ckpt", "rename", "WHERE", *words), safe=True)


def _starting(subject: Subject, starts: tuple[str, ...]) -> list[Tensor]:
    return [tensor for tensor in subject.checkpoint.tensors if tensor.name.startswith(starts)]
