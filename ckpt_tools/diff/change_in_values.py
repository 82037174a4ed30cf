"""What kind of change the values of two checkpoints show, with the numbers and a sentence."""

from __future__ import annotations

from math import isfinite
from typing import TYPE_CHECKING

from ckpt_tools.diff.change_kind import Change, ChangeKind
from ckpt_tools.diff.changed_parts import UNRELATED_BELOW, changed_parts, median_cosine
from ckpt_tools.text import count, percent
from ckpt_tools.values.dtypes import MANTISSA
from ckpt_tools.values.model import has_rank, layer_title, rel_l2_together

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ckpt_tools.families.family import Family
    from ckpt_tools.values.model import DifferenceRank, TensorChange, ValueComparison

FROZEN_ABOVE = 0.05
"""The share of parameters that must be unchanged to speak of frozen parts.

Buffers, layers that get no gradient, and norms that BF16 is too coarse for are far fewer.
"""

LOW_RANKS = 0.9
"""The share of sampled matrices whose difference must have a low rank: an adapter may come with a
head that was trained as a whole."""

SAMPLES = 16
"""Matrices whose difference is examined for its rank."""


def sampled(changes: ValueComparison) -> list[TensorChange]:
    """Return the changed matrices whose difference to examine: at most SAMPLES, evenly spread."""
    changed = [
        change
        for change in changes.tensors
        if change.changed and not change.facts.broken
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
    moved = [change for change in tensors if change.changed]
    whole = sum(change.facts.elements for change in tensors)
    found = Change(
        ChangeKind.IDENTICAL,
        "",
        compared=len(tensors),
        changed=len(moved),
        broken=sum(change.facts.broken for change in moved),
        share=sum(change.facts.elements for change in moved) / whole if whole else 0.0,
        rel_l2=rel_l2_together([change.facts for change in moved]),
        cosine=median_cosine(moved),
        ranks=tuple(ranks),
        parts=changed_parts(tensors, family),
    )
    kind = _kind(found, moved)
    text = _TEXTS[kind](found, changes)
    if found.broken:
        text += f"; {count(found.broken, 'value')} NaN or infinite on one side only"
    return found._replace(kind=kind, text=text)


def _kind(found: Change, moved: Sequence[TensorChange]) -> ChangeKind:
    if same := _kind_of_same_weights(moved):
        return same
    if found.ranks and sum(rank.low for rank in found.ranks) >= LOW_RANKS * len(found.ranks):
        return ChangeKind.LOW_RANK
    if found.share <= 1 - FROZEN_ABOVE:
        return ChangeKind.PARTS
    if found.cosine is not None and abs(found.cosine) < UNRELATED_BELOW:
        return ChangeKind.UNRELATED
    return ChangeKind.CONTINUED


def _kind_of_same_weights(moved: Sequence[TensorChange]) -> ChangeKind | None:
    if not moved:
        return ChangeKind.IDENTICAL
    if all(change.facts.changed == change.facts.broken for change in moved):
        return ChangeKind.BROKEN
    return ChangeKind.ROUNDED if all(map(_is_rounding, moved)) else None


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


def _broken(_found: Change, _changes: ValueComparison) -> str:
    return "the same weights, except for broken values"


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


def _low_rank(found: Change, changes: ValueComparison) -> str:
    low = [rank for rank in found.ranks if rank.low]
    least, most = min(rank.rank for rank in low), max(rank.rank for rank in low)
    sides = min(min(rank.rows, rank.columns) for rank in low)
    ranks = f"{least}" if least == most else f"{least} to {most}"
    return (
        f"adapter-like: the difference of {len(low):,} of {len(found.ranks):,} sampled matrices has"
        f" a low rank ({ranks}, of {sides} or more); {_share(found, changes)}"
    )


def _parts(found: Change, changes: ValueComparison) -> str:
    trained = ", ".join(part.text for part in found.parts if part.changed)
    frozen = ", ".join(part.text for part in found.parts if not part.changed)
    rest = f"; identical: {frozen}" if frozen else ""
    return (
        f"parts trained, the rest frozen: {_share(found, changes)}; changed: {trained}{rest}"
        f"{_replaced(found)}"
    )


def _continued(found: Change, changes: ValueComparison) -> str:
    return f"continued training: {_share(found, changes)}{_replaced(found)}"


def _replaced(found: Change) -> str:
    parts = ", ".join(part.text for part in found.parts if part.is_replaced)
    return f"; initialized anew: {parts}" if parts else ""


def _unrelated(found: Change, changes: ValueComparison) -> str:
    return f"unrelated weights of the same structure: {_share(found, changes)}"


def _share(found: Change, changes: ValueComparison) -> str:
    cosine = "" if found.cosine is None else f", median cosine {found.cosine:.3g}"
    share = "all" if found.share == 1 else percent(found.share)
    norm = f"relative norm {percent(found.rel_l2)}{cosine}"
    return f"{share} of the parameters changed, {norm}{_most(changes)}"


def _most(changes: ValueComparison) -> str:
    """Return where the change is largest; "" where there is only one place, or no largest one.

    A layer of which only tensors changed that were zero does not count: they have no norm to
    compare with, and are mostly a bias beside large weights.
    """
    if len(changes.layers) < 2:  # noqa: PLR2004 - one is no choice
        return ""
    changed = [row for row in changes.layers if row.changed and isfinite(row.rel_l2)]
    if not changed:
        return ""
    most, *others = sorted(changed, key=lambda row: -row.rel_l2)
    if any(percent(row.rel_l2) == percent(most.rel_l2) for row in others):
        return ""
    layers = sum(row.component == most.component for row in changes.layers)
    title = most.title if len(changes.components) > 1 else ""
    layer = layer_title(most.layer) if layers > 1 or not title else ""
    return f"; most in {' '.join(filter(None, (title, layer)))} ({percent(most.rel_l2)})"


_TEXTS = {
    ChangeKind.IDENTICAL: _identical,
    ChangeKind.BROKEN: _broken,
    ChangeKind.ROUNDED: _rounded,
    ChangeKind.LOW_RANK: _low_rank,
    ChangeKind.PARTS: _parts,
    ChangeKind.CONTINUED: _continued,
    ChangeKind.UNRELATED: _unrelated,
}
