"""The weights take as many bytes as a normal checkpoint's.

A model built with load_vlm_weights=false has vision tower, connector and lm_head in F32, and says
so in its config: nothing is wrong with it, but it is a third larger than the normal checkpoint, 1.2
GB instead of 0.9, and slower to load and to run. What other rules find, a teacher, dtypes that do
not fit the config, strange tensors, takes bytes too and is not counted here.

`ckpt sanitize --reference NORMAL` narrows them where that loses nothing, and sets load_vlm_weights.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ckpt_tools.checkpoint.names import unwrapped
from ckpt_tools.families.family import Unknown
from ckpt_tools.rules.finding import Need, Severity
from ckpt_tools.rules.grouping import first_of, place
from ckpt_tools.rules.rule import Rule, Violation
from ckpt_tools.text import count

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ckpt_tools.checkpoint.model import Tensor
    from ckpt_tools.families.family import Expected
    from ckpt_tools.rules.rule import Subject


def check(subject: Subject) -> Iterator[Violation]:
    """Yield one finding where the loader's own tensors, of the dtypes that the config asks for, have another size than a normal checkpoint's."""
    expectation = subject.family.expected(subject.checkpoint)
    if isinstance(expectation, Unknown):
        return
    known = [
        (tensor, wanted)
        for tensor in subject.checkpoint.tensors
        if (wanted := expectation.tensors.get(unwrapped(tensor.name)))
    ]
    unusual = [tensor for tensor, wanted in known if _is_unusual(tensor, wanted)]
    if not unusual:
        return
    now = sum(tensor.nbytes for tensor, _ in known)
    narrowed = sum(
        tensor.nbytes - tensor.parameters * wanted.normal.bits // 8
        for tensor, wanted in known
        if _is_unusual(tensor, wanted)
    )
    part = subject.family.parts(tensor.name for tensor in unusual)
    what = f"the policy's tensors take {count(now, 'byte')}, a normal checkpoint's {now - narrowed:,}: {part} as {expectation.because} builds them"
    yield Violation(what, place(unusual), first_of(unusual))


def _is_unusual(tensor: Tensor, wanted: Expected) -> bool:
    """Whether a tensor is as the config asks for, and that is not as it normally is."""
    return tensor.dtype is wanted.dtype is not wanted.normal


RULE = Rule(
    code="CK311",
    name="weights-size",
    severity=Severity.NOTE,
    needs=frozenset({Need.HEADERS, Need.CONFIG}),
    check=check,
    page=__doc__,
    fix="ckpt sanitize WHERE --reference NORMAL",
    families=frozenset({"smolvla"}),
)
