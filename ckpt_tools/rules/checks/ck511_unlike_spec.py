"""The tensors are those that the lockfile lists, with its dtypes and shapes, and no others.

A lockfile (`ckpt spec write`) is a promise to whoever loads the checkpoint: other code relies on
these names, dtypes and shapes. It says nothing of values.

Repair the checkpoint, or write the lockfile again where the change was meant: `ckpt spec write`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ckpt_tools.rules.finding import Need, Severity
from ckpt_tools.rules.grouping import amount, by_part, first, first_of, only_file, parts, place
from ckpt_tools.rules.rule import Rule, Violation
from ckpt_tools.text import count

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from ckpt_tools.checkpoint.dtype import Dtype
    from ckpt_tools.checkpoint.model import Tensor
    from ckpt_tools.rules.rule import Subject

type _Promised = Mapping[str, tuple[Dtype, tuple[int, ...]]]


def check(subject: Subject) -> Iterator[Violation]:
    """Yield one finding for each part of the model and way of differing."""
    if subject.spec is None:
        return
    promised: _Promised = {name: (dtype, shape) for name, dtype, shape in subject.spec.tensors}
    held = {tensor.name: tensor for tensor in subject.checkpoint.tensors}
    for part, names in by_part(
        subject.family, ((name, name) for name in promised if name not in held)
    ):
        yield Violation(
            f"{count(len(names), 'tensor')} that the lockfile lists missing ({part})",
            only_file(subject.checkpoint),
            first(names),
        )
    for part, tensors in parts(
        subject.family, [tensor for tensor in held.values() if tensor.name not in promised]
    ):
        yield Violation(
            f"{amount(tensors)} that the lockfile does not list ({part})",
            place(tensors),
            first_of(tensors),
        )
    both = [tensor for tensor in held.values() if tensor.name in promised]
    yield from _dtypes(subject, promised, both)
    yield from _shapes(subject, promised, both)


def _dtypes(subject: Subject, promised: _Promised, both: list[Tensor]) -> Iterator[Violation]:
    for part, tensors in parts(
        subject.family, [tensor for tensor in both if tensor.dtype is not promised[tensor.name][0]]
    ):
        one = tensors[0]
        what = f"{amount(tensors)} of another dtype than in the lockfile ({part}), the first {one.dtype} instead of {promised[one.name][0]}"
        yield Violation(what, place(tensors), first_of(tensors))


def _shapes(subject: Subject, promised: _Promised, both: list[Tensor]) -> Iterator[Violation]:
    for part, tensors in parts(
        subject.family, [tensor for tensor in both if tensor.shape != promised[tensor.name][1]]
    ):
        one = tensors[0]
        what = f"{amount(tensors)} of another shape than in the lockfile ({part}), the first {list(one.shape)} instead of {list(promised[one.name][1])}"
        yield Violation(what, place(tensors), first_of(tensors))


RULE = Rule(
    code="CK511",
    name="unlike-spec",
    severity=Severity.ERROR,
    needs=frozenset({Need.HEADERS, Need.SPEC}),
    check=check,
    page=__doc__,
    fix="repair the checkpoint, or write the lockfile again: ckpt spec write",
)
