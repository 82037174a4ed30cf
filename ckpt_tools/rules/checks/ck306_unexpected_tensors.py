"""No tensor is there that the loader does not look for.

Stock LeRobot names such tensors in one wall of warning and drops them, and everybody downloads
them. They are the state of another model or of an optimizer, an average of the weights, or layers
that config.json does not ask for: then the config may be the wrong one.

If they mean nothing, `ckpt strip` drops them. If they do, correct config.json.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ckpt_tools.checkpoint.names import covering, unwrapped
from ckpt_tools.families.family import TEACHER_PREFIXES, Unknown
from ckpt_tools.families.smolvla.components import NORMALISATION
from ckpt_tools.rules.finding import Need, Severity
from ckpt_tools.rules.grouping import amount, first_of, parts, place
from ckpt_tools.rules.remedy import Remedy
from ckpt_tools.rules.rule import Rule, Violation

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ckpt_tools.rules.rule import Subject


def check(subject: Subject) -> Iterator[Violation]:
    """Yield one finding for each part of the model.

    A teacher's, wrapped and empty tensors and normalisation have rules of their own.
    """
    expectation = subject.family.expected(subject.checkpoint)
    if isinstance(expectation, Unknown):
        return
    strange = [
        tensor
        for tensor in subject.checkpoint.tensors
        if tensor.name not in expectation.tensors
        and tensor.parameters
        and unwrapped(tensor.name) == tensor.name
        if not tensor.name.startswith(TEACHER_PREFIXES)
        and subject.family.component(tensor.name) != NORMALISATION
    ]
    every = [tensor.name for tensor in subject.checkpoint.tensors]
    for part, members in parts(subject.family, strange):
        words = f"{amount(members)} that the loader does not look for ({part}): it drops them"
        yield Violation(
            words,
            place(members),
            first_of(members),
            _strip([tensor.name for tensor in members], every),
        )


def _strip(names: list[str], every: list[str]) -> Remedy:
    """Return the command that leaves those tensors out and no others.

    Of many that have nothing in common, the first.
    """
    return Remedy(("ckpt", "strip", "WHERE", *covering(names, every)[:_GLOBS]))


_GLOBS = 8


RULE = Rule(
    code="CK306",
    name="unexpected-tensors",
    severity=Severity.WARNING,
    needs=frozenset({Need.HEADERS, Need.CONFIG}),
    check=check,
    page=__doc__,
    fix="ckpt strip WHERE GLOB",
    families=frozenset({"smolvla"}),
)
