"""Blocks on what differs in configs: normalization first, then other values, then metadata."""

from __future__ import annotations

from itertools import groupby
from typing import TYPE_CHECKING

from ckpt_tools.checkpoint.documents import CONFIG
from ckpt_tools.diff.compare import differences
from ckpt_tools.diff.normalization import is_normalizing
from ckpt_tools.diff.steps import step_changes, step_text
from ckpt_tools.report.blocks import Heading, Line, Status
from ckpt_tools.strict_json.parse import escape
from ckpt_tools.strict_json.pointer import ABSENT
from ckpt_tools.text import changed_value, count, printable, size

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from ckpt_tools.diff.model import Comparison, FileChange, ValueChange
    from ckpt_tools.diff.normalization import NormalizationDiff
    from ckpt_tools.diff.steps import StepChange
    from ckpt_tools.report.blocks import Block

SHOWN = 6
"""Names or values of one kind that are listed without --full."""


def normalization_blocks(found: NormalizationDiff, *, full: bool) -> Iterator[Block]:
    """Yield what differs in normalization; marked as bad is what B has lost."""
    if found.number or found.lost_buffers:
        yield Heading(text="Normalization")
    if found.lost_buffers:
        tensors = count(found.lost_buffers, "tensor")
        text = f"{tensors} of statistics missing in B, and no processor of B normalizes"
        yield Line(text=text, mark=Status.BAD, details=(_LOST,))
    for path, step in found.steps:
        lost = step.at_b is None and not found.buffers
        yield Line(
            text=f"{printable(path)}: {_step(step)}",
            mark=Status.BAD if lost else Status.CHANGE,
            details=(_LOST,) if lost else (),
        )
    for file, steps in found.files:
        names = ", ".join(f"`{printable(name)}`" for name in steps)
        has = f", with {names}" if file.path.endswith(".json") else ""
        yield Line(
            text=f"{printable(file.path)}: {file_text(file)}{has}",
            mark=Status.BAD if found.is_lost(file, steps) else Status.CHANGE,
        )
    for path, group in groupby(found.values, key=lambda change: change.path):
        yield _statistics(path, list(group), full=full)
    if found.buffers and (found.steps or found.files):
        yield Line(text="B has statistics among its tensors, as policies before LeRobot 0.4 do")


_LOST = "B may load and run without it, and then acts on numbers in other units"


def _statistics(path: str, changes: Sequence[ValueChange], *, full: bool) -> Line:
    lines = [f"{printable(change.pointer[1:])}: {_numbers(change)}" for change in changes]
    shown = lines if full else lines[:SHOWN]
    if len(lines) > len(shown):
        shown.append(f"… and {len(lines) - len(shown):,} more (--full lists them)")
    is_lost = any(change.b is ABSENT for change in changes) and not path.endswith(".json")
    return Line(
        text=f"{printable(path)}: {count(len(lines), 'value')}",
        mark=Status.BAD if is_lost else Status.CHANGE,
        details=tuple(shown),
    )


def _numbers(change: ValueChange) -> str:
    """Return a statistic on both sides: numbers without dtype and shape where those agree."""
    a, b = change.a, change.b
    if isinstance(a, list) and isinstance(b, list) and a[:2] == b[:2] and len(a) == len(b) == 3:  # noqa: PLR2004 - dtype, shape, elements
        a, b = a[2], b[2]
    return _pair(a, b)


def config_blocks(
    comparison: Comparison, normalization: NormalizationDiff, *, full: bool
) -> Iterator[Block]:
    """Yield config values that differ and have no line of their own."""
    listed = {f"/{line.key}" for line in comparison.watched}
    yield from _values(
        "Other config values",
        [
            change
            for change in normalization.other_values
            if not (change.path == CONFIG and change.pointer in listed)
        ],
        full=full,
    )


def _values(title: str, changes: Sequence[ValueChange], *, full: bool) -> Iterator[Block]:
    if changes:
        yield Heading(text=title)
    for path, group in groupby(changes, key=lambda change: change.path):
        members = list(group)
        lines = [line for change in members for line in _changed(change)]
        details = lines if full else lines[:SHOWN]
        if len(lines) > len(details):
            details.append(f"… and {len(lines) - len(details):,} more (--full lists them)")
        has_steps = any(step_changes(change, differences) is not None for change in members)
        yield Line(
            text=f"{printable(path)}: {count(len(lines), 'difference' if has_steps else 'value')}",
            mark=Status.CHANGE,
            details=tuple(details),
        )


def metadata_blocks(comparison: Comparison, *, full: bool) -> Iterator[Block]:
    """Yield the metadata entries that differ; the names of tied tensors as one line."""
    diff = comparison.diff
    tied = {
        f"/{escape(alias)}"
        for side in (diff.a, diff.b)
        for file in side.weights
        for alias, _ in file.aliases
    }
    changes = (
        diff.metadata
        if full
        else tuple(change for change in diff.metadata if change.pointer not in tied)
    )
    yield from _values("Metadata", changes, full=full)
    if len(changes) < len(diff.metadata):
        text = (
            f"{len(diff.metadata) - len(changes):,} names of tied tensors: safetensors"
            " keeps one name"
            " of two that share storage"
        )
        yield from () if changes else (Heading(text="Metadata"),)
        yield Line(text=text, mark=Status.CHANGE)


def _changed(found: ValueChange) -> list[str]:
    steps = step_changes(found, differences)
    if steps is not None:
        return [_step(step) for step in steps if not is_normalizing(step.step)]
    note = f"  ({found.same_because})" if found.same_because else ""
    return [f"{printable(found.pointer)}: {_pair(found.a, found.b)}{note}"]


def _step(step: StepChange) -> str:
    return printable(step_text(step, _pair))


def _pair(a: object, b: object) -> str:
    return changed_value(a, b, 40)


def file_text(found: FileChange) -> str:
    """Return where a file is, with its size, or its sizes."""
    if found.b is None:
        return f"only in A ({size(found.a or 0)})"
    if found.a is None:
        return f"only in B ({size(found.b)})"
    return (
        f"{size(found.a)} -> {size(found.b)}"
        if found.a != found.b
        else f"different content ({size(found.a)})"
    )
