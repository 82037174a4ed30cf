"""Every part of the model has the dtype that a normal checkpoint has.

A model built with load_vlm_weights=true has its VLM in BF16, and the weights that attend from the
expert to the VLM, and the projections, in F32. Built with false, vision tower, connector and
lm_head are F32: a student's file of 1.2 GB instead of 0.9 whose config was relabelled true
afterwards. FSDP saves everything in F32. Stock LeRobot loads all of these without a word and
rounds; integers and eight-bit floats, which stand for other numbers, it loads as they are.

`ckpt sanitize --reference NORMAL` gives every tensor the dtype that it has in a normal checkpoint,
where that loses nothing; `ckpt cast` does so for some.
"""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING, NamedTuple

from ckpt_tools.checkpoint.dtype import Dtype
from ckpt_tools.checkpoint.names import unwrapped
from ckpt_tools.families.family import Unknown
from ckpt_tools.rules.finding import Need, Severity
from ckpt_tools.rules.grouping import amount, first_of, parts, place
from ckpt_tools.rules.rule import Rule, Violation
from ckpt_tools.text import count

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from ckpt_tools.checkpoint.model import Tensor
    from ckpt_tools.rules.rule import Subject

_PLAIN = frozenset({Dtype.F64, Dtype.F32, Dtype.F16, Dtype.BF16})
"""What a loader converts into each other, rounding."""


class _Typed(NamedTuple):
    """A tensor with the dtype that it should have."""

    tensor: Tensor
    wanted: Dtype


def check(subject: Subject) -> Iterator[Violation]:
    """Yield one finding where the dtypes tell how they came about, else one for each part of the model and pair of dtypes."""
    expectation = subject.family.expected(subject.checkpoint)
    if isinstance(expectation, Unknown):
        return
    known = [
        (tensor, wanted)
        for tensor in subject.checkpoint.tensors
        if (wanted := expectation.tensors.get(unwrapped(tensor.name)))
    ]
    by_config = [_Typed(tensor, wanted.dtype) for tensor, wanted in known]
    by_normal = [_Typed(tensor, wanted.normal) for tensor, wanted in known]
    # A normal checkpoint with another config is the config's fault, and has a rule of its own.
    wrong = min(_wrong(by_config), _wrong(by_normal), key=len)
    if not wrong:
        return
    told = _told(subject, [tensor for tensor, _ in known], wrong)
    if told:
        tensors = [tensor for tensor, _ in wrong]
        yield Violation(
            f"{amount(tensors)} in F32 instead of BF16 ({_parts(subject, tensors)}): {told}",
            place(tensors),
            first_of(tensors),
        )
    else:
        yield from _groups(subject, wrong, expectation.because)


def _wrong(typed: Sequence[_Typed]) -> list[_Typed]:
    return [one for one in typed if one.tensor.dtype is not one.wanted]


def _parts(subject: Subject, tensors: Sequence[Tensor]) -> str:
    return subject.family.parts(tensor.name for tensor in tensors)


def _told(subject: Subject, known: Sequence[Tensor], wrong: Sequence[_Typed]) -> str:
    """Return how the dtypes came about, "" where they do not tell."""
    if any(tensor.dtype is not Dtype.F32 for tensor, _ in wrong):
        return ""
    if all(tensor.dtype is Dtype.F32 for tensor in known):
        return "saved in F32 throughout, as FSDP does"
    contradiction = subject.family.contradiction(subject.checkpoint)
    return (
        f"{subject.family.profile(subject.checkpoint)}, and {contradiction} all the same"
        if contradiction
        else ""
    )


def _groups(subject: Subject, wrong: Sequence[_Typed], because: str) -> Iterator[Violation]:
    wanted = {id(tensor): dtype for tensor, dtype in wrong}
    totals = {
        part: len(tensors) for part, tensors in parts(subject.family, subject.checkpoint.tensors)
    }
    for part, members in parts(subject.family, [tensor for tensor, _ in wrong]):
        pairs: defaultdict[tuple[Dtype, Dtype], list[Tensor]] = defaultdict(list)
        for tensor in members:
            pairs[tensor.dtype, wanted[id(tensor)]].append(tensor)
        for (dtype, normal), tensors in pairs.items():
            share = f" of {count(totals[part], 'tensor')}" if len(tensors) < totals[part] else ""
            severity = None if dtype in _PLAIN else Severity.ERROR
            effect = (
                "the loader converts them"
                if severity is None
                else "the loader takes them for numbers of another meaning"
            )
            what = f"{amount(tensors)}{share} in {dtype} instead of {normal} ({part}; {because}): {effect}"
            yield Violation(what, place(tensors), first_of(tensors), severity=severity)


RULE = Rule(
    code="CK308",
    name="dtype-profile",
    severity=Severity.WARNING,
    needs=frozenset({Need.HEADERS, Need.CONFIG}),
    check=check,
    page=__doc__,
    fix="ckpt sanitize WHERE --reference NORMAL",
    families=frozenset({"smolvla"}),
)
