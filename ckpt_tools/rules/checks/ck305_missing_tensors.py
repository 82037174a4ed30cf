"""Every tensor that the loader looks for is there.

Stock LeRobot loads a policy with tensors missing, and leaves those at random values with no more
than a warning. The robot then moves, at random. Whole parts go missing where a student shared its
VLM with a registered teacher, since safetensors keeps one of two names, and where only what trains
was saved.

`ckpt sanitize` brings back what stands under a teacher's name. Take anything else from the run that
trained the policy, or from its base: `ckpt plan` with `take`.
"""

from __future__ import annotations

from math import prod
from typing import TYPE_CHECKING

from ckpt_tools.checkpoint.names import unwrapped
from ckpt_tools.families.family import TEACHER_PREFIXES, Unknown
from ckpt_tools.rules.finding import Need, Severity
from ckpt_tools.rules.grouping import by_part, first, only_file
from ckpt_tools.rules.remedy import Remedy
from ckpt_tools.rules.rule import Rule, Violation
from ckpt_tools.text import count

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from ckpt_tools.families.family import Expected
    from ckpt_tools.rules.rule import Subject


def check(subject: Subject) -> Iterator[Violation]:
    """Yield one finding for each part of the model.

    A note where nobody can tell what should be there.
    """
    expectation = subject.family.expected(subject.checkpoint)
    if isinstance(expectation, Unknown):
        yield Violation(
            f"which tensors should be there cannot be told: {expectation.reason}",
            "config.json",
            next="correct config.json",
            severity=Severity.NOTE,
        )
        return
    present = {unwrapped(tensor.name) for tensor in subject.checkpoint.tensors}
    aliases = {alias for file in subject.checkpoint.weights for alias, _ in file.aliases}
    missing = [
        (name, (name, wanted))
        for name, wanted in expectation.tensors.items()
        if name not in present and name not in aliases
    ]
    for part, members in by_part(subject.family, missing):
        names = [name for name, _ in members]
        held = any(prefix + name in present for prefix in TEACHER_PREFIXES for name in names)
        what = f"{count(len(names), 'tensor')} missing ({part}){_bytes([wanted for _, wanted in members])}: {subject.family.missing}"
        after = (
            Remedy(("ckpt", "sanitize", "WHERE"), "{} restores them from the teacher's names")
            if held
            else Remedy(
                ("ckpt", "plan", "WHERE", "RECIPE"),
                "take them from where it was trained: {}, with `take` in the recipe",
            )
        )
        yield Violation(what, only_file(subject.checkpoint), first(names), after)


def _bytes(missing: Sequence[Expected]) -> str:
    """Return how many bytes they would have, "" where a shape is not known."""
    sizes = [
        prod(wanted.shape) * wanted.dtype.bits // 8
        for wanted in missing
        if wanted.shape is not None
    ]
    return f", {count(sum(sizes), 'byte')}" if len(sizes) == len(missing) else ""


RULE = Rule(
    code="CK305",
    name="missing-tensors",
    severity=Severity.ERROR,
    needs=frozenset({Need.HEADERS, Need.CONFIG}),
    check=check,
    page=__doc__,
    families=frozenset({"smolvla"}),
)
