"""The verdict of `ckpt diff`: the kind of change, what differs, and what was not compared."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ckpt_tools.checkpoint.names import Selection
from ckpt_tools.diff.change_kind import ChangeKind
from ckpt_tools.diff.model import Aspect
from ckpt_tools.diff.normalization import normalization_of
from ckpt_tools.report.blocks import Line, Status
from ckpt_tools.report.pages.values import value_verdict
from ckpt_tools.text import count

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ckpt_tools.diff.model import Comparison


def kind_of_change(comparison: Comparison) -> Iterator[Line]:
    """Yield the kind of change, where the verdict alone does not say it."""
    found = comparison.change
    if found and not comparison.same:
        alike = found.kind in (ChangeKind.IDENTICAL, ChangeKind.SAME_STRUCTURE)
        yield Line(text=found.text, mark=Status.GOOD if alike else Status.CHANGE)


def verdict(comparison: Comparison) -> Line:
    """Return whether the checkpoints differ, in what, and what was not compared."""
    diff = comparison.diff
    values = value_verdict(comparison.changes) if comparison.changes else ""
    rest = f"; {unread}" if (unread := values_not_compared(comparison)) else ""
    has_weights = bool(diff.a.weights or diff.b.weights)  # two JSON files have none
    if comparison.same:
        what = "same structure" if has_weights else "no differences"
        if comparison.partial and has_weights:
            what = "no differences in the selected aspects; others were not compared"
        rest += f"; {values}" * bool(values)
        rest += f"; {count(len(diff.unread), 'file')} not compared" * bool(diff.unread)
        return Line(text=what + rest, mark=Status.GOOD)
    normalization = normalization_of(diff)
    other_values = normalization.other_values
    counts = (
        (len(diff.only_a), "tensor only in A", "tensors only in A"),
        (len(diff.only_b), "tensor only in B", "tensors only in B"),
        (sum(len(rename.pairs) for rename in diff.renamed), "tensor renamed", "tensors renamed"),
        (len(diff.retyped), "tensor of another dtype", "tensors of another dtype"),
        (len(diff.reshaped), "tensor of another shape", "tensors of another shape"),
        (normalization.number, "difference in normalization", "differences in normalization"),
        (sum(not one.same_because for one in other_values), "config value", "config values"),
        (len(diff.metadata), "metadata entry", "metadata entries"),
        (len(normalization.other_files), "file", "files"),
    )
    parts = [f"{count:,} {one if count == 1 else many}" for count, one, many in counts if count]
    parts += [values] * bool(values)
    where = " in the selected aspects" * (comparison.partial and has_weights)
    return Line(text=f"different{where}: {', '.join(parts)}{rest}", mark=Status.BAD)


_OF_TENSORS = frozenset({Aspect.KEYS, Aspect.DTYPE, Aspect.SHAPE})


def values_not_compared(comparison: Comparison) -> str:
    """Return that tensor values were not compared, "" where they were or no tensors were."""
    if comparison.changes is not None or _OF_TENSORS.isdisjoint(comparison.aspects):
        return ""
    selection = Selection(tuple(comparison.select), tuple(comparison.ignore))
    sides = (comparison.diff.a.tensors, comparison.diff.b.tensors)
    has_tensors = any(tensor.name in selection for side in sides for tensor in side)
    return "tensor values were not compared" if has_tensors else ""
