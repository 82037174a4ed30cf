"""What kind of change lies between two checkpoints, and the kinds that the structure shows.

Those that need the values are in `change_in_values`. No I/O.
"""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, NamedTuple

from ckpt_tools.checkpoint.names import EVERYTHING, Selection, fold
from ckpt_tools.families.kinds import Kind, kinds_of
from ckpt_tools.text import count, printable

if TYPE_CHECKING:
    from ckpt_tools.diff.changed_parts import ChangedPart
    from ckpt_tools.diff.model import Diff
    from ckpt_tools.values.model import DifferenceRank


class ChangeKind(StrEnum):
    """A kind of change; the last six are all that names, dtypes and shapes can show."""

    IDENTICAL = "identical"
    BROKEN = "broken values"
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
    broken: int = 0
    share: float = 0.0
    rel_l2: float = 0.0
    cosine: float | None = None
    ranks: tuple[DifferenceRank, ...] = ()
    parts: tuple[ChangedPart, ...] = ()


_SHARED = 0.5
"""The share of the smaller checkpoint's tensors without which it is another architecture."""


def change_in_structure(diff: Diff, selection: Selection = EVERYTHING) -> Change | None:
    """Return the kind of change that names, dtypes and shapes show; all three were compared.

    None where no tensors were.
    """
    in_a, in_b = (
        sum(tensor.name in selection for tensor in side.tensors) for side in (diff.a, diff.b)
    )
    if not (in_a or in_b):
        return None
    common = in_a - len(diff.only_a)
    renamed = sum(len(rename.pairs) for rename in diff.renamed)
    adapter = _adapter(diff)
    if adapter or common <= _SHARED * min(in_a, in_b):
        return Change(ChangeKind.OTHER, adapter or _few_in_common(common, in_a))
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


def _few_in_common(common: int, in_a: int) -> str:
    tensors = f"A's {count(in_a, 'tensor')}"
    if not common:
        return f"another architecture: none of {tensors} is in B"
    verb = "is" if common == 1 else "are"
    return f"another architecture: only {common:,} of {tensors} {verb} in B"


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
