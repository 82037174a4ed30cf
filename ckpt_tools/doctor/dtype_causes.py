"""Causes that stored dtypes are: a wider one takes space, a narrower one holds rounded values."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ckpt_tools.checkpoint.dtype import Dtype
from ckpt_tools.diff.compare import compare
from ckpt_tools.diff.model import Aspect
from ckpt_tools.doctor.model import Cause, CauseCode, Effect, Evidence
from ckpt_tools.rules.finding import Severity
from ckpt_tools.rules.grouping import amount, read_by_loader
from ckpt_tools.rules.remedy import Remedy
from ckpt_tools.text import count

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from ckpt_tools.checkpoint.model import Tensor
    from ckpt_tools.doctor.repairs import Repairs
    from ckpt_tools.rules.finding import Finding
    from ckpt_tools.rules.rule import Subject

CODES = frozenset({"CK308", "CK311", "CK316", "CK317", "CK502"})
"""Rules about the dtypes of tensors."""

_BITS = {Dtype.BF16: 8, Dtype.F16: 11, Dtype.F32: 24, Dtype.F64: 53}
"""Significant bits of a value."""

_RUN_TIME = (
    "load_vlm_weights decides the dtypes at run time, so the file is larger and loads more slowly, "
    "but inference is unaffected"
)

_NORMAL = "NORMAL"

type _Pair = tuple[Dtype, Tensor]
"""The dtype that a tensor has elsewhere, and REFLOW's tensor."""


def of_dtypes(
    findings: Iterable[Finding], normal: Subject, reflow: Subject, repairs: Repairs
) -> Iterator[Cause]:
    """Yield the causes that the dtypes of REFLOW's tensors are, where a finding is about them."""
    members = [finding for finding in findings if finding.code in CODES]
    because = tuple(
        Evidence(": ".join(filter(None, (one.path, one.subject, one.what))), one.code)
        for one in members
    )
    misread = [finding for finding in members if finding.severity is Severity.ERROR]
    if misread:
        repair = Remedy(text="take these tensors from where REFLOW was trained")
        yield Cause(CauseCode.WEIGHTS_MISREAD, Effect.WRONG, misread[0].what, repair, because)
    where, pairs = _compared(normal, reflow) if members else ("", [])
    rounded = [pair for pair in pairs if _BITS[pair[1].dtype] < _BITS[pair[0]]]
    if rounded:
        yield _of_rounded(_listed(rounded, where, reflow), rounded, because)
    wide = [pair for pair in pairs if pair[1].dtype.bits > pair[0].bits]
    if wide:
        effect = _RUN_TIME if reflow.family.cleaning else "the file is larger and loads more slowly"
        what = f"{_listed(wide, where, reflow)}; {effect}"
        repair = _narrowing(wide, where, reflow, repairs)
        yield Cause(CauseCode.STORED_DTYPES, Effect.HEAVY, what, repair, because)


def _narrowing(wide: Sequence[_Pair], where: str, reflow: Subject, repairs: Repairs) -> Remedy:
    """Return the command that casts wide tensors, or advice where it would not do so."""
    right = _right(reflow)
    usual = [right.get(tensor.name, dtype) for dtype, tensor in wide]
    loader = reflow.family.loader.name
    cast = f"cast these tensors to {_named(usual)}, as {loader} saves and loads them"
    if any(one is not dtype for one, (dtype, _) in zip(usual, wide, strict=True)):
        return Remedy(text=f"{cast}, and not to NORMAL's dtypes")
    if where != _NORMAL:
        return Remedy(
            text="NORMAL has the same dtypes: use `ckpt sanitize` with another reference, a "
            "checkpoint of the same base in standard dtypes"
        )
    after = repairs.sanitized() or {}
    kept = [dtype for dtype, tensor in wide if after.get(tensor.name, dtype) is not dtype]
    if not kept:
        return repairs.sanitize()
    if right and not reflow.family.cleaning:
        return Remedy(text=cast)
    return Remedy(
        text=f"nothing, if REFLOW was trained in these dtypes: {_named(kept)} would round the "
        f"values of {count(len(kept), 'tensor')}"
    )


def _of_rounded(listed: str, rounded: Sequence[_Pair], because: tuple[Evidence, ...]) -> Cause:
    dtype, tensor = rounded[0]
    what = (
        f"{listed}: each value has {_BITS[tensor.dtype]} significant bits instead of "
        f"{_BITS[dtype]}, so the actions may differ slightly"
    )
    advice = (
        f"if REFLOW was trained in {dtype}, take these tensors from there: a cast does not bring "
        "back what was rounded"
    )
    return Cause(CauseCode.WEIGHTS_ROUNDED, Effect.ROUNDED, what, Remedy(text=advice), because)


def _compared(normal: Subject, reflow: Subject) -> tuple[str, list[_Pair]]:
    """Return what REFLOW's floats are compared with, and those that differ from it in dtype.

    With NORMAL, or where that has the same dtypes, with a standard checkpoint. A tensor in the one
    dtype that its library gives it is right: then it is NORMAL's that was cast.
    """
    retyped = compare(normal.checkpoint, reflow.checkpoint, aspects={Aspect.DTYPE}).retyped
    right = _right(reflow)
    pairs = [(a.dtype, b) for a, b in retyped if right.get(b.name) is not b.dtype]
    where = _NORMAL
    if not retyped and reflow.family.cleaning:
        where = "a standard checkpoint"
        matched = read_by_loader(reflow)
        pairs = [(one.normal, tensor) for tensor, one in matched if tensor.dtype is not one.normal]
    return where, [pair for pair in pairs if {pair[0], pair[1].dtype} <= _BITS.keys()]


def _right(reflow: Subject) -> dict[str, Dtype]:
    """Return the dtypes that the library gives the tensors, whatever their config is, by name."""
    file = reflow.family.file
    if reflow.family.cleaning:
        return {tensor.name: wanted.normal for tensor, wanted in read_by_loader(reflow)}
    if file and file.fixed_float:
        return {tensor.name: file.fixed_float for tensor in reflow.checkpoint.tensors}
    return {}


def _listed(pairs: Sequence[_Pair], where: str, reflow: Subject) -> str:
    tensors = [tensor for _, tensor in pairs]
    mine, other = (
        _named(dtypes)
        for dtypes in ([tensor.dtype for tensor in tensors], [dtype for dtype, _ in pairs])
    )
    part = reflow.family.parts(tensor.name for tensor in tensors)
    return f"{amount(tensors)} in {mine}, but {other} in {where} ({part})"


def _named(dtypes: Iterable[Dtype]) -> str:
    return " and ".join(sorted(set(map(str, dtypes))))
