"""What kind of change lies between two checkpoints, and the numbers that say so.

From the values where they were compared, else from the structure alone. No I/O.
"""

from __future__ import annotations

from enum import StrEnum
from math import hypot, inf
from typing import TYPE_CHECKING, NamedTuple

from ckpt_tools.checkpoint.names import EVERYTHING, Selection, fold
from ckpt_tools.diff.changed_parts import (
    UNRELATED_BELOW,
    ChangedPart,
    changed_parts,
    median_cosine,
)
from ckpt_tools.families.kinds import Kind, kinds_of
from ckpt_tools.text import count, percent, printable
from ckpt_tools.values.dtypes import MANTISSA
from ckpt_tools.values.model import Sameness, has_rank

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ckpt_tools.diff.model import Diff
    from ckpt_tools.families.family import Family
    from ckpt_tools.values.model import DifferenceRank, TensorChange, ValueComparison


class ChangeKind(StrEnum):
    """A kind of change; the last six are all that names, dtypes and shapes can show."""

    IDENTICAL = "identical"
    ROUNDED = "rounded"
    LOW_RANK = "low rank"
    PARTS = "parts trained"
    CONTINUED = "continued training"
    UNRELATED = "unrelated weights"
    SAME_STRUCTURE = "same structure"
    RENAMED = "other names"
    RETYPED = "other dtypes"
    OVERLAP = "other tensors"
    RESIZED = "other size"
    OTHER = "other architecture"

    @property
    def is_another_model(self) -> bool:
        """Whether the values of what both have say nothing about the rest."""
        return self in (ChangeKind.RESIZED, ChangeKind.OTHER)


class Change(NamedTuple):
    """The kind of change, a sentence that says it, and the numbers.

    `compared` tensors were compared and `changed` changed, `share` of the compared parameters are
    in those. `rel_l2` is the norm of the change relative to A over all that changed, `cosine` the
    median over the changed matrices, None without any. `parts` are what changed and what did not.
    """

    kind: ChangeKind
    text: str
    compared: int = 0
    changed: int = 0
    share: float = 0.0
    rel_l2: float = 0.0
    cosine: float | None = None
    ranks: tuple[DifferenceRank, ...] = ()
    parts: tuple[ChangedPart, ...] = ()


FROZEN_ABOVE = 0.05
"""The share of parameters that must be unchanged to speak of frozen parts.

Buffers, layers that get no gradient, and norms that BF16 is too coarse for are far fewer.
"""

LOW_RANKS = 0.9
"""The share of sampled matrices whose difference must have a low rank: an adapter may come with a
head that was trained as a whole."""

SAMPLES = 16
"""Matrices whose difference is examined for its rank."""

_SHARED = 0.5
"""The share of the smaller checkpoint's tensors without which it is another architecture."""


def sampled(changes: ValueComparison) -> list[TensorChange]:
    """Return the changed matrices whose difference to examine: at most SAMPLES, evenly spread."""
    changed = [
        change
        for change in changes.tensors
        if change.sameness is Sameness.CHANGED and not change.facts.broken
        if has_rank(change.a, change.b)
    ]
    number = min(SAMPLES, len(changed))
    return [changed[index * len(changed) // number] for index in range(number)]


def change_in_values(
    changes: ValueComparison, ranks: Sequence[DifferenceRank], family: Family
) -> Change | None:
    """Return the kind of change that the values show; None where none were compared."""
    tensors = changes.tensors
    if not tensors:
        return None
    moved = [change for change in tensors if change.sameness is Sameness.CHANGED]
    whole = sum(change.facts.elements for change in tensors)
    found = Change(
        ChangeKind.IDENTICAL,
        "",
        compared=len(tensors),
        changed=len(moved),
        share=sum(change.facts.elements for change in moved) / whole if whole else 0.0,
        rel_l2=_relative(moved),
        cosine=median_cosine(moved),
        ranks=tuple(ranks),
        parts=changed_parts(tensors, family),
    )
    kind = _kind(found, moved)
    return found._replace(kind=kind, text=_TEXTS[kind](found, changes))


def _relative(moved: Sequence[TensorChange]) -> float:
    """Return the norm of all changes relative to what changed; infinite for a change of zeros."""
    change = hypot(*(one.facts.l2_change for one in moved))
    before = hypot(*(one.facts.l2_a for one in moved))
    return change / before if before else inf if change else 0.0


def _kind(found: Change, moved: Sequence[TensorChange]) -> ChangeKind:
    if not moved:
        return ChangeKind.IDENTICAL
    if all(map(_is_rounding, moved)):
        return ChangeKind.ROUNDED
    if found.ranks and sum(rank.low for rank in found.ranks) >= LOW_RANKS * len(found.ranks):
        return ChangeKind.LOW_RANK
    if found.share <= 1 - FROZEN_ABOVE:
        return ChangeKind.PARTS
    if found.cosine is not None and abs(found.cosine) < UNRELATED_BELOW:
        return ChangeKind.UNRELATED
    return ChangeKind.CONTINUED


def _is_rounding(change: TensorChange) -> bool:
    """Whether a tensor has changed by no more than rounding to the narrower of two dtypes does."""
    dtypes = change.a.dtype, change.b.dtype
    if dtypes[0] is dtypes[1] or not MANTISSA.keys() >= set(dtypes) or change.facts.broken:
        return False
    return change.facts.rel_l2 <= 2.0 ** -(1 + min(MANTISSA[dtype] for dtype in dtypes))


# --- sentences ------------------------------------------------------------------------------------


def _identical(found: Change, changes: ValueComparison) -> str:
    within = f" within {percent(changes.tolerance)}" if changes.tolerance else ""
    rest = f"; {changes.uncompared:,} have no counterpart" if changes.uncompared else ""
    return f"identical weights{within}: the values of {count(found.compared, 'tensor')}{rest}"


def _rounded(found: Change, changes: ValueComparison) -> str:
    pairs = {
        f"{change.a.dtype} -> {change.b.dtype}"
        for change in changes.tensors
        if change.a.dtype is not change.b.dtype
    }
    return (
        f"the same weights, rounded ({', '.join(sorted(pairs))}):"
        f" relative norm of the change {percent(found.rel_l2)}"
    )


def _low_rank(found: Change, _changes: ValueComparison) -> str:
    low = [rank for rank in found.ranks if rank.low]
    least, most = min(rank.rank for rank in low), max(rank.rank for rank in low)
    sides = min(min(rank.rows, rank.columns) for rank in low)
    ranks = f"{least}" if least == most else f"{least} to {most}"
    return (
        f"adapter-like: the difference of {len(low):,} of {len(found.ranks):,} sampled matrices has"
        f" a low rank ({ranks}, of {sides} or more); {_share(found)}"
    )


def _parts(found: Change, _changes: ValueComparison) -> str:
    trained = ", ".join(part.text for part in found.parts if part.changed)
    frozen = ", ".join(part.text for part in found.parts if not part.changed)
    rest = f"; identical: {frozen}" if frozen else ""
    return f"parts trained, the rest frozen: {_share(found)}, in {trained}{rest}{_replaced(found)}"


def _continued(found: Change, _changes: ValueComparison) -> str:
    return f"continued training: {_share(found)}{_replaced(found)}"


def _replaced(found: Change) -> str:
    parts = ", ".join(part.text for part in found.parts if part.is_replaced)
    return f"; initialized anew: {parts}" if parts else ""


def _unrelated(found: Change, _changes: ValueComparison) -> str:
    return f"unrelated weights of the same structure: {_share(found)}"


def _share(found: Change) -> str:
    cosine = "" if found.cosine is None else f", median cosine {found.cosine:.3g}"
    share = "all" if found.share == 1 else percent(found.share)
    return f"{share} of the parameters changed, relative norm {percent(found.rel_l2)}{cosine}"


_TEXTS = {
    ChangeKind.IDENTICAL: _identical,
    ChangeKind.ROUNDED: _rounded,
    ChangeKind.LOW_RANK: _low_rank,
    ChangeKind.PARTS: _parts,
    ChangeKind.CONTINUED: _continued,
    ChangeKind.UNRELATED: _unrelated,
}


# --- structure ------------------------------------------------------------------------------------


def change_in_structure(diff: Diff, selection: Selection = EVERYTHING) -> Change:
    """Return the kind of change that names, dtypes and shapes show; all three were compared."""
    in_a, in_b = (
        sum(tensor.name in selection for tensor in side.tensors) for side in (diff.a, diff.b)
    )
    common = in_a - len(diff.only_a)
    renamed = sum(len(rename.pairs) for rename in diff.renamed)
    adapter = _adapter(diff)
    if adapter or common <= _SHARED * min(in_a, in_b):
        few = f"another architecture: only {common:,} of A's {count(in_a, 'tensor')} are in B"
        return Change(ChangeKind.OTHER, adapter or few)
    return Change(
        *next(
            (kind, text)
            for holds, kind, text in (
                (
                    len(diff.reshaped) > _SHARED * common,
                    ChangeKind.RESIZED,
                    f"another size: {len(diff.reshaped):,} of {common:,} tensors have other shapes",
                ),
                (
                    diff.only_a or diff.only_b or diff.reshaped,
                    ChangeKind.OVERLAP,
                    _overlap(diff, common),
                ),
                (
                    renamed,
                    ChangeKind.RENAMED,
                    f"the same tensors, {renamed:,} of {common:,} under other names",
                ),
                (
                    diff.retyped,
                    ChangeKind.RETYPED,
                    f"the same tensors, {len(diff.retyped):,} of {common:,} of another dtype",
                ),
                (
                    True,
                    ChangeKind.SAME_STRUCTURE,
                    f"the same {count(common, 'tensor')} by name, dtype and shape",
                ),
            )
            if holds
        )
    )


def _adapter(diff: Diff) -> str:
    """Return that one side is an adapter and the other is not; "" for anything else."""
    adapters = [Kind.ADAPTER in kinds_of(side) for side in (diff.a, diff.b)]
    if adapters[0] is adapters[1]:
        return ""
    which, other = ("A", "B") if adapters[0] else ("B", "A")
    return f"{which} is an adapter, {other} is a model: they have no tensors in common"


def _overlap(diff: Diff, common: int) -> str:
    parts = [f"{common:,} tensors in both"]
    for side, only in (("A", diff.only_a), ("B", diff.only_b)):
        if only:
            first = printable(next(iter(fold(tensor.name for tensor in only))))
            parts.append(f"{len(only):,} only in {side} ({first}{', …' * (len(only) > 1)})")
    parts += [f"{len(diff.reshaped):,} of another shape"] * bool(diff.reshaped)
    return f"the same architecture with other tensors: {', '.join(parts)}"
