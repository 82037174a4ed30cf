"""A plan as blocks.

What it weighs before and after, its steps, what remains, and what became of it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ckpt_tools.edit import recipe
from ckpt_tools.edit.model import Copy, Safety
from ckpt_tools.report.blocks import Heading, Line, Status, Table
from ckpt_tools.text import change, count, printable, signed, size, value

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ckpt_tools.edit.model import Plan, Step, Written
    from ckpt_tools.report.blocks import Block, Page

_DETAILS = 3


def plan_page(plan: Plan, written: Written | None = None, *, full: bool = False) -> Page:
    """Return the page of a plan, carried out or not; `full` leaves out no detail."""
    return tuple(_blocks(plan, written, full=full))


def _blocks(plan: Plan, written: Written | None, *, full: bool) -> Iterator[Block]:
    yield _budget(plan)
    if plan.steps:
        yield Heading(text="steps")
        yield from (_step(step, full=full) for step in plan.steps)
    if plan.idle:
        yield Heading(text="found nothing to do")
        described = recipe.document(plan.idle)["operations"]
        yield from (
            Line(text=value(item)) for item in (described if isinstance(described, list) else ())
        )
    if plan.remains:
        yield Heading(text="not repaired")
        yield from (Line(text=printable(sentence), mark=Status.BAD) for sentence in plan.remains)
    yield Heading(text="verdict", conclusion=True)
    yield from _verdict(plan, written)


def _budget(plan: Plan) -> Table:
    before, after = plan.before, plan.after
    kept = sum(output.size for output in plan.outputs if isinstance(output, Copy))
    numbers = [
        (
            "tensors",
            f"{len(before.tensors):,}",
            f"{len(after.tensors):,}",
            signed(len(after.tensors) - len(before.tensors)),
        ),
        ("weights", size(before.size), size(after.size), change(after.size - before.size)),
        (
            "weight files",
            f"{len(before.weights):,}",
            f"{len(after.weights):,}",
            signed(len(after.weights) - len(before.weights)),
        ),
        ("files copied as they are", "", size(kept), ""),
    ]
    return Table(
        header=(printable(before.where), "before", "after", "change"),
        rows=tuple(numbers),
        right=frozenset({1, 2, 3}),
    )


def _step(step: Step, *, full: bool) -> Line:
    concerns = f" ({count(step.tensors, 'tensor')}, {size(step.nbytes)})" if step.tensors else ""
    shown = step.details if full else step.details[:_DETAILS]
    more = (
        (f"… and {len(step.details) - len(shown)} more lines (--full)",)
        if len(step.details) > len(shown)
        else ()
    )
    mark = Status.GOOD if step.safety is Safety.SAFE else Status.CHANGE
    loses = "" if step.safety is Safety.SAFE else "; what was there is lost"
    return Line(
        text=printable(step.text) + concerns + loses,
        mark=mark,
        details=(*(printable(detail) for detail in shown), *more),
    )


def _verdict(plan: Plan, written: Written | None) -> Iterator[Line]:
    left = f", and {count(len(plan.remains), 'thing')} not repaired" if plan.remains else ""
    mark = Status.BAD if plan.remains else Status.GOOD
    if written is None:
        what = (
            f"{count(len(plan.steps), 'step')} planned, nothing written"
            if plan.steps
            else "nothing to do"
        )
        yield Line(text=what + left, mark=mark)
        return
    yield Line(text=f"written to {printable(written.path)}{left}", mark=mark)
    if written.backup:
        yield Line(text=f"what it replaced is in {printable(written.backup)}")
    for path in written.detached:
        yield Line(text=f"{printable(path)} was a hard link; the other names keep the old content")
