"""The page of a plan: sizes before and after, steps, remaining problems, and the outcome."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ckpt_tools.edit.model import Copy, Plan, PlanStep, Safety, Written
from ckpt_tools.report.blocks import Heading, Line, Status, Table
from ckpt_tools.report.pages.idle import idle_line
from ckpt_tools.text import change, count, escaped, printable, signed, size

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ckpt_tools.report.blocks import Block, Page

_DETAILS = 3
_SENTENCE = 1000
"""Characters of a problem that remains, with the command that repairs it."""


def plan_page(
    plan: Plan, written: Written | None = None, *, full: bool = False, backup: bool = False
) -> Page:
    """Return the page of a plan, applied or not; `full` shows all details.

    `backup`: replaced files are, or would be, kept in a backup.
    """
    return tuple(_blocks(plan, written, full=full, backup=backup))


def _blocks(plan: Plan, written: Written | None, *, full: bool, backup: bool) -> Iterator[Block]:
    yield _budget(plan)
    if plan.steps:
        yield Heading(text="Steps")
        loss = "; kept in the backup" if backup else "; removes data"
        yield from (_step(step, loss, full=full) for step in plan.steps)
    if plan.idle:
        yield Heading(text="Operations that changed nothing")
        yield from (Line(text=idle_line(operation, plan.after)) for operation in plan.idle)
    if plan.remains:
        yield Heading(text="Not repaired")
        remains = (printable(sentence, _SENTENCE) for sentence in plan.remains)
        yield from (Line(text=sentence, mark=Status.BAD) for sentence in remains)
    yield Heading(text="Verdict", conclusion=True)
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
        ("files copied unchanged", "", size(kept), ""),
    ]
    return Table(
        header=(printable(before.where), "before", "after", "change"),
        rows=tuple(numbers),
        right=frozenset({1, 2, 3}),
    )


def _step(step: PlanStep, loss: str, *, full: bool) -> Line:
    is_safe = step.safety is Safety.SAFE
    concerns = f" ({count(step.tensors, 'tensor')}, {size(step.nbytes)})" if step.tensors else ""
    details = [printable(detail) for detail in (step.details if full else step.details[:_DETAILS])]
    if hidden := len(step.details) - len(details):
        details.append(f"… and {count(hidden, 'more line')} (--full)")
    return Line(
        text=printable(step.text) + concerns + ("" if is_safe else loss),
        mark=Status.GOOD if is_safe else Status.CHANGE,
        details=tuple(details),
    )


def _verdict(plan: Plan, written: Written | None) -> Iterator[Line]:
    if written is not None:
        outcome = f"written to {printable(written.path)}"
    else:
        steps = f"{count(len(plan.steps), 'step')} planned, nothing written"
        outcome = steps if plan.steps else "no changes needed"
    if plan.remains:
        outcome += f"; {count(len(plan.remains), 'problem')} could not be repaired"
    yield Line(text=outcome, mark=Status.BAD if plan.remains else Status.GOOD)
    if written and written.backup:
        yield Line(text=f"backup of the replaced files: {printable(written.backup)}")
        yield Line(text=f"undo: {escaped(written.undo)}")
    for path in written.detached if written else ():
        yield Line(text=f"{printable(path)} was a hard link; its other names keep the old content")
