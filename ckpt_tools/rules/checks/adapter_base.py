"""An adapter against its base model: whose modules it changes, and in which shapes.

The base model is the one that `--base` or `--reference` names; a policy's is its config.json, which
is beside its adapter. Measured on PEFT 0.18.1 and 0.21.2.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from ckpt_tools.checkpoint.documents import ADAPTER_CONFIG, ADAPTER_WEIGHTS, CONFIG
from ckpt_tools.families.adapters import PREFIX, base_of, expected_adapter, orphans
from ckpt_tools.families.family import Unknown
from ckpt_tools.families.kinds import Kind
from ckpt_tools.rules.coverage import Covered, Question
from ckpt_tools.rules.finding import Need, Severity
from ckpt_tools.rules.grouping import about, amount, first
from ckpt_tools.rules.lora import config_of, tensors_of
from ckpt_tools.rules.rule import Violation, rule
from ckpt_tools.text import count

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ckpt_tools.checkpoint.model import Checkpoint, Tensor
    from ckpt_tools.families.family import Expectation
    from ckpt_tools.rules.rule import Subject

_STACK = re.compile(r"\.\d+\..*")


@rule("CK913", "adapter-and-base", Severity.ERROR, needs=Need.HEADERS, kinds=(Kind.ADAPTER,))
def adapter_and_base(subject: Subject) -> Iterator[Violation | Covered]:
    """An adapter that does not fit its base model.

    adapter_config.json says which modules of the base model have matrices, and of which rank. PEFT
    drops tensors of modules that the base model does not have or that are no target, leaves a
    target whose tensors are missing untrained, both with a warning at most, and rejects other
    shapes (RuntimeError: size mismatch). Modules that a release of the library renamed leave an
    adapter without effect.

    The base model is what `--base NAME=DIR` or `--reference` names; without either, an adapter of a
    LeRobot policy is compared with what the policy's config.json builds. A note says where that is
    not possible: where the sizes of the base model are unknown, or the names of its modules.

    Take the base model and the release of the library that the adapter was trained with, or save
    the adapter again.

    Bad (the base model calls the module q_proj):

        base_model.model.encoder.layer.0.attention.query.lora_A.weight

    Good:

        base_model.model.encoder.layer.0.attention.q_proj.lora_A.weight
    """
    tensors, base = tensors_of(subject), _base(subject)
    if not tensors or not config_of(subject) or base is None:
        return
    known = base_of(base)
    shapes = {tensor.name: tensor.shape for tensor in tensors}
    found = (
        known if isinstance(known, Unknown) else expected_adapter(config_of(subject), shapes, known)
    )
    if subject.base is None and not isinstance(found, Unknown) and _is_smaller(found, tensors):
        found = Unknown("it has less than half of the tensors that config.json asks for")
    if isinstance(found, Unknown):
        what = f"it was not compared with its base model: {found.reason}"
        yield Violation(what, ADAPTER_CONFIG, severity=Severity.NOTE)
        return
    yield Covered(Question.COMPLETENESS)
    yield Covered(Question.AGREEMENT, "shapes of the adapter")
    yield from _lost(found, tensors)
    yield from _missing(found, tensors, is_whole=subject.base is None)
    yield from _misshapen(found, tensors)


def _is_smaller(found: Expectation, tensors: tuple[Tensor, ...]) -> bool:
    """Whether an adapter seems to be of a smaller model than the one that its config.json builds.

    Scaled-down models of tests keep the config of the full size.
    """
    names = {tensor.name for tensor in tensors}
    return 2 * len(found.tensors.keys() & names) < len(found.tensors)


def _base(subject: Subject) -> Checkpoint | None:
    """Return the base model, or what config.json says of it; None where nothing does."""
    there = subject.checkpoint
    config = there.document(CONFIG)
    if subject.base is not None or config is None:
        return subject.base
    return there._replace(weights=(), documents=(config,), others=())


def _lost(found: Expectation, tensors: tuple[Tensor, ...]) -> Iterator[Violation]:
    names = set(orphans((tensor.name for tensor in tensors), found))
    lost = [tensor for tensor in tensors if tensor.name in names]
    # A name without PEFT's prefix is CK904's.
    lost = [tensor for tensor in lost if tensor.name.startswith(PREFIX)]
    if lost:
        what = (
            f"{amount(lost)} of modules that are no target in the base model: PEFT drops them, and "
            "these modules stay as they were"
        )
        remedy = "take the base model, and the release of its library, that it was trained with"
        yield about(lost, what, remedy)


def _missing(
    found: Expectation, tensors: tuple[Tensor, ...], *, is_whole: bool
) -> Iterator[Violation]:
    """Yield the missing tensors, of parts that have none in a finding of its own.

    Such a part may be one that the base model had not when the adapter was trained. A policy's own
    config.json is what it was trained on: `is_whole`.
    """
    names = {tensor.name for tensor in tensors}
    stacks = {_STACK.sub("", name) for name in names}
    missing = [name for name in found.tensors if name not in names]
    alone = [name for name in missing if not is_whole and _STACK.sub("", name) not in stacks]
    for some, severity in (
        ([name for name in missing if name not in alone], None),
        (alone, Severity.NOTE),
    ):
        if some:
            what = f"{count(len(some), 'tensor')} of targets missing: PEFT leaves them untrained"
            yield Violation(
                what,
                ADAPTER_WEIGHTS,
                first(some),
                "save the adapter again from the run that trained it"
                if severity is None
                else "nothing to do if it was trained on a part of this base model",
                severity,
            )


def _misshapen(found: Expectation, tensors: tuple[Tensor, ...]) -> Iterator[Violation]:
    wrong = []
    for tensor in tensors:
        wanted = found.tensors.get(tensor.name)
        if wanted is not None and wanted.shape not in (None, tensor.shape):
            wrong.append((tensor, wanted.shape))
    if wrong:
        tensor, shape = wrong[0]
        what = (
            f"{amount([one for one, _ in wrong])} of another shape than the base model's modules "
            f"have, the first {list(tensor.shape)} instead of {list(shape or ())}: PEFT rejects "
            "the adapter"
        )
        yield about([one for one, _ in wrong], what, "take the base model that it was trained with")
