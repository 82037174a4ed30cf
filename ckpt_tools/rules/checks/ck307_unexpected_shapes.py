"""Every tensor has the shape that config.json asks for.

Stock LeRobot builds the policy by config.json and refuses weights of another shape (RuntimeError:
size mismatch). Mostly it is the config that is wrong, taken from another run: another
`max_action_dim` or `expert_width_multiplier`, another VLM.

Correct config.json, or take the weights that belong to it. Sizes that only the VLM knows are what
most of the tensors say.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ckpt_tools.checkpoint.names import unwrapped
from ckpt_tools.families.family import Unknown
from ckpt_tools.rules.finding import Need, Severity
from ckpt_tools.rules.grouping import amount, by_part, first_of, place
from ckpt_tools.rules.rule import Rule, Violation

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ckpt_tools.rules.rule import Subject


def check(subject: Subject) -> Iterator[Violation]:
    """Yield one finding for each part of the model."""
    expectation = subject.family.expected(subject.checkpoint)
    if isinstance(expectation, Unknown):
        return
    wrong = []
    for tensor in subject.checkpoint.tensors:
        wanted = expectation.tensors.get(unwrapped(tensor.name))
        if wanted is not None and wanted.shape not in (None, tensor.shape):
            wrong.append((tensor.name, (tensor, wanted.shape)))
    for part, members in by_part(subject.family, wrong):
        tensors = [tensor for tensor, _ in members]
        tensor, shape = members[0]
        what = f"{amount(tensors)} of another shape than config.json asks for ({part}), the first {list(tensor.shape)} instead of {list(shape or ())}"
        yield Violation(
            f"{what}: stock LeRobot refuses the checkpoint", place(tensors), first_of(tensors)
        )


RULE = Rule(
    code="CK307",
    name="unexpected-shapes",
    severity=Severity.ERROR,
    needs=frozenset({Need.HEADERS, Need.CONFIG}),
    check=check,
    page=__doc__,
    fix="ckpt config WHERE set KEY VALUE",
    families=frozenset({"smolvla"}),
)
