"""Dtypes that a loader converts, and weights that are larger than they need be."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING

from ckpt_tools.checkpoint.dtype import Dtype
from ckpt_tools.families.smolvla.facts import SMOLVLA
from ckpt_tools.rules.finding import Need, Severity
from ckpt_tools.rules.grouping import about, amount, expectation, parts, read_by_loader
from ckpt_tools.rules.rule import Violation, rule
from ckpt_tools.text import count

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ckpt_tools.checkpoint.model import Tensor
    from ckpt_tools.rules.rule import Subject

_CONVERTED = frozenset({Dtype.F64, Dtype.F32, Dtype.F16, Dtype.BF16})
"""The dtypes that a loader converts into each other, with rounding."""


@rule(
    "CK308",
    "dtype-profile",
    Severity.WARNING,
    needs=(Need.HEADERS, Need.CONFIG),
    fix="ckpt sanitize WHERE --reference NORMAL",
    families=(SMOLVLA.name,),
)
def dtype_profile(subject: Subject) -> Iterator[Violation]:
    """Dtypes that differ from a standard checkpoint's.

    A model built with load_vlm_weights=true has its VLM in BF16; the weights with which the expert
    attends to the VLM, and the projections, are F32. Built with false, vision tower, connector and
    lm_head are F32: a student's file of 1.2 GB instead of 0.9, whose config was changed to true
    afterwards. FSDP saves everything in F32. Stock LeRobot loads all of these silently and rounds;
    integers and 8-bit floats, whose bytes mean other numbers, are loaded unchanged.

    `ckpt sanitize WHERE --reference NORMAL` gives every tensor the dtype that it has in a standard
    checkpoint, where that loses nothing; `ckpt cast` does so for selected tensors.

    Bad:

        model.vlm_with_expert.vlm.lm_head.weight    F32

    Good:

        model.vlm_with_expert.vlm.lm_head.weight    BF16
    """
    matched = read_by_loader(subject)
    by_config = {id(tensor): wanted.dtype for tensor, wanted in matched}
    by_normal = {id(tensor): wanted.normal for tensor, wanted in matched}
    # A standard checkpoint with another config is the config's fault, and has a rule of its own.
    dtypes, wrong = min(
        (
            (dtypes, [tensor for tensor, _ in matched if tensor.dtype is not dtypes[id(tensor)]])
            for dtypes in (by_config, by_normal)
        ),
        key=lambda pair: len(pair[1]),
    )
    origin = _origin(subject, [tensor for tensor, _ in matched], wrong) if wrong else ""
    if origin:
        part = subject.family.parts(tensor.name for tensor in wrong)
        yield about(wrong, f"{amount(wrong)} in F32 instead of BF16 ({part}): {origin}")
    else:
        yield from _converted(subject, wrong, dtypes)


def _origin(subject: Subject, matched: list[Tensor], wrong: list[Tensor]) -> str:
    """Return what wrote these dtypes, "" where they do not show it."""
    if any(tensor.dtype is not Dtype.F32 for tensor in wrong):
        return ""
    if all(tensor.dtype is Dtype.F32 for tensor in matched):
        return "saved in F32 throughout, as FSDP does"
    contradiction = subject.family.contradiction(subject.checkpoint)
    if not contradiction:
        return ""
    return f"{subject.family.profile(subject.checkpoint)}, but {contradiction}"


def _converted(
    subject: Subject, wrong: list[Tensor], dtypes: dict[int, Dtype]
) -> Iterator[Violation]:
    because = expectation(subject).because
    totals = {
        part: len(tensors) for part, tensors in parts(subject.family, subject.checkpoint.tensors)
    }
    for part, members in parts(subject.family, wrong):
        pairs: defaultdict[tuple[Dtype, Dtype], list[Tensor]] = defaultdict(list)
        for tensor in members:
            pairs[tensor.dtype, dtypes[id(tensor)]].append(tensor)
        for (dtype, normal), tensors in pairs.items():
            share = f" of {count(totals[part], 'tensor')}" if len(tensors) < totals[part] else ""
            severity, effect = (
                (None, "the loader converts them")
                if dtype in _CONVERTED
                else (Severity.ERROR, "the loader reads them as numbers of another meaning")
            )
            what = (
                f"{amount(tensors)}{share} in {dtype} instead of {normal} ({part}; {because}): "
                f"{effect}"
            )
            yield about(tensors, what, severity=severity)


@rule(
    "CK316",
    "unexpected-dtypes",
    Severity.WARNING,
    needs=(Need.HEADERS, Need.CONFIG, Need.EXPECTATION),
    fix="take the tensors from where the model was trained",
)
def unexpected_dtypes(subject: Subject) -> Iterator[Violation]:
    """Dtypes that no writer gives these tensors.

    Weights are saved as F32, BF16 or F16, in any mixture; counters, indices and masks as the
    integers and booleans that they are. A loader converts F64 weights and integers of another width
    with a rounding at most. Weights stored as integers or 8-bit floats, in a model whose
    config.json has no quantization, have lost what was between those numbers, or need scales that
    the loader does not know: an error.

    Take the tensors from where the model was trained, or cast them if they hold what they should.

    Bad:

        model.layers.7.mlp.up_proj.weight    I8

    Good:

        model.layers.7.mlp.up_proj.weight    BF16
    """
    groups: defaultdict[tuple[str, Dtype, Dtype], list[Tensor]] = defaultdict(list)
    for tensor, wanted in read_by_loader(subject):
        if wanted.lawful and tensor.dtype not in wanted.lawful and tensor.parameters:
            part = subject.family.component(tensor.name)
            groups[part, tensor.dtype, wanted.dtype].append(tensor)
    optional = expectation(subject).optional
    for (_, dtype, usual), tensors in groups.items():
        severity, effect = _misread(dtype, usual)
        if all(tensor.name in optional for tensor in tensors):
            severity = Severity.NOTE
        part = subject.family.parts(tensor.name for tensor in tensors)
        what = f"{amount(tensors)} in {dtype} instead of {usual} ({part}): {effect}"
        yield about(tensors, what, severity=severity)


def _misread(dtype: Dtype, usual: Dtype) -> tuple[Severity | None, str]:
    """Return how bad a dtype is in place of the usual one, and what the loader makes of it."""
    if dtype in _CONVERTED and usual in _CONVERTED:
        return None, "the loader converts them"
    if usual in _CONVERTED:
        return Severity.ERROR, "the loader takes them for the weights themselves, without a scale"
    return None, "the loader converts them, if they are whole numbers at all"


@rule(
    "CK311",
    "weights-size",
    Severity.NOTE,
    needs=(Need.HEADERS, Need.CONFIG),
    fix="ckpt sanitize WHERE --reference NORMAL",
    families=(SMOLVLA.name,),
)
def weights_size(subject: Subject) -> Iterator[Violation]:
    """Weights larger than a standard checkpoint's.

    A model built with load_vlm_weights=false has vision tower, connector and lm_head in F32, and
    its config agrees: nothing is wrong, but it is a third larger than the standard checkpoint, 1.2
    GB instead of 0.9, and slower to load and to run. What other rules find (a teacher, dtypes that
    do not match the config, unexpected tensors) takes bytes too and is not counted here.

    `ckpt sanitize WHERE --reference NORMAL` casts the weights where that loses nothing, and sets
    load_vlm_weights.

    Bad:

        {"type": "smolvla", "load_vlm_weights": false}

    Good:

        {"type": "smolvla", "load_vlm_weights": true}
    """
    matched = read_by_loader(subject)
    unusual = [
        (tensor, wanted)
        for tensor, wanted in matched
        if tensor.dtype is wanted.dtype is not wanted.normal
    ]
    if unusual:
        now = sum(tensor.nbytes for tensor, _ in matched)
        saved = sum(
            tensor.nbytes - tensor.parameters * wanted.normal.bits // 8
            for tensor, wanted in unusual
        )
        tensors = [tensor for tensor, _ in unusual]
        part = subject.family.parts(tensor.name for tensor in tensors)
        what = (
            f"the policy's tensors take {count(now, 'byte')}, a standard checkpoint's "
            f"{now - saved:,}: {part} as {expectation(subject).because} builds them"
        )
        yield about(tensors, what)
