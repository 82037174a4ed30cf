"""What `--values` adds to the verbs diff and show, which import this module only then."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ckpt_tools.checkpoint.documents import CONFIG
from ckpt_tools.diff.change_in_values import change_in_values, sampled
from ckpt_tools.diff.compare import comparable
from ckpt_tools.diff.groups import shared_family
from ckpt_tools.diff.value_changes import value_comparison, value_summary
from ckpt_tools.errors import UnknownSelection
from ckpt_tools.families.registry import family_of
from ckpt_tools.values.compare import compare_values
from ckpt_tools.values.difference_rank import difference_ranks
from ckpt_tools.values.measure import measure

if TYPE_CHECKING:
    from ckpt_tools.checkpoint.model import Checkpoint
    from ckpt_tools.checkpoint.names import Selection
    from ckpt_tools.diff.change_kind import Change
    from ckpt_tools.progress import Progress
    from ckpt_tools.values.model import ValueComparison, ValueSummary


def measured(checkpoint: Checkpoint, *, cached: bool, progress: Progress) -> ValueSummary:
    """Return what the values of a checkpoint's tensors are."""
    return value_summary(
        measure(checkpoint, cached=cached, progress=progress), family_of(checkpoint)
    )


def compared(  # noqa: PLR0913 - options by keyword
    a: Checkpoint,
    b: Checkpoint,
    selection: Selection,
    tolerance: float,
    *,
    cached: bool,
    progress: Progress,
) -> ValueComparison:
    """Return how the values of two checkpoints differ. Raises UnknownSelection."""
    pairs, uncompared = comparable(a, b, selection)
    if not 0 <= tolerance < float("inf"):
        raise UnknownSelection(
            f"a tolerance of {tolerance} is none",
            hint="it is a relative L2 norm, 0 or more: 0.01 lets a tensor change by one percent",
        )
    facts = compare_values(a, b, pairs, cached=cached, progress=progress)
    both = [(left, right, found) for (left, right), found in zip(pairs, facts, strict=True)]
    # B is what was trained; its config says what was to stay as it was.
    config = b.value(CONFIG) or a.value(CONFIG)
    return value_comparison(
        both,
        shared_family(a, b),
        config,
        tolerance=tolerance,
        uncompared=uncompared,
    )


def change_of(
    a: Checkpoint,
    b: Checkpoint,
    changes: ValueComparison,
    structure: Change | None,
    *,
    cached: bool,
) -> Change | None:
    """Return the kind of change that compared values show, or `structure` where that decides."""
    if structure and structure.kind.is_another_model:
        return structure
    pairs = [(change.a, change.b) for change in sampled(changes)]
    ranks = difference_ranks(a, b, pairs, cached=cached)
    return change_in_values(changes, ranks, shared_family(a, b)) or structure
