"""The page of `ckpt diff`.

Both sides in a table, groups of tensor differences, config keys that affect loading, other config
values, metadata, files, and the verdict.
"""

from __future__ import annotations

import shlex
from itertools import groupby
from typing import TYPE_CHECKING

from ckpt_tools.checkpoint.documents import CONFIG
from ckpt_tools.diff.change_kind import ChangeKind
from ckpt_tools.diff.compare import differences
from ckpt_tools.diff.steps import step_changes, step_text
from ckpt_tools.report.blocks import Heading, Line, Status, Table, Title
from ckpt_tools.report.charts import change_map, component_bars
from ckpt_tools.report.pages.values import change_blocks, value_verdict
from ckpt_tools.rules.remedy import as_path
from ckpt_tools.storage.address import fetch_command
from ckpt_tools.strict_json.parse import escape
from ckpt_tools.text import change, count, printable, signed, size, transferred, value

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ckpt_tools.diff.model import (
        Comparison,
        Diff,
        DifferenceGroup,
        FileChange,
        Summary,
        ValueChange,
        WatchedLine,
    )
    from ckpt_tools.report.blocks import Block, Page

_SHOWN = 6
"""Names or values of one kind that are listed without --full."""


def diff_page(comparison: Comparison, *, full: bool = False) -> Page:
    """Return the page of `ckpt diff`.

    `full` lists every name and value; without it each kind is cut to a few.
    """
    diff = comparison.diff
    blocks = [
        Title(text=f"Diff: {_name(comparison.a)} and {_name(comparison.b)}"),
        Line(text=f"A  {_name(comparison.a)}"),
        Line(text=f"B  {_name(comparison.b)}"),
        _sides(comparison),
        *(
            Line(text=f"{side}: {remark}", mark=Status.BAD)
            for side, one in (("A", comparison.a), ("B", comparison.b))
            for remark in one.remarks
        ),
        *component_bars(comparison.a, comparison.b, title="Components"),
        *_tensors(comparison, full=full),
        *change_map(comparison.changes),
        *(change_blocks(comparison.changes, full=full) if comparison.changes else ()),
        *_watched(comparison),
        *_config_values(
            "Other config values",
            diff.values,
            {f"/{line.key}" for line in comparison.watched},
            full=full,
        ),
        *_metadata(comparison, full=full),
        *_files(diff, full=full),
        Heading(text="Verdict", conclusion=True),
        *([Line(text=transferred(comparison.transferred))] if comparison.transferred else []),
        *_change(comparison),
        verdict(comparison),
    ]
    return tuple(blocks)


def _sides(comparison: Comparison) -> Table:
    a, b = comparison.a, comparison.b
    rows = [
        ("family", a.family, b.family, ""),
        ("tensors", f"{a.tensors:,}", f"{b.tensors:,}", signed(b.tensors - a.tensors)),
        (
            "parameters",
            f"{a.parameters:,}",
            f"{b.parameters:,}",
            signed(b.parameters - a.parameters),
        ),
        (
            "weights",
            size(a.checkpoint.size),
            size(b.checkpoint.size),
            change(b.checkpoint.size - a.checkpoint.size),
        ),
        *_file_rows(a, b),
    ]
    return Table(header=("", "A", "B", "B - A"), rows=tuple(rows), right=frozenset({1, 2, 3}))


def _name(summary: Summary) -> str:
    return printable(summary.checkpoint.where)


def _file_rows(a: Summary, b: Summary) -> Iterator[tuple[str, str, str, str]]:
    left, right = len(a.checkpoint.weights), len(b.checkpoint.weights)
    if (left, right) != (1, 1):
        yield "weight files", f"{left:,}", f"{right:,}", signed(right - left)


def _tensors(comparison: Comparison, *, full: bool) -> Iterator[Block]:
    if comparison.stories:
        yield Heading(text="Tensors")
    for group in comparison.stories:
        yield _group(group, full=full)
    if comparison.renaming:
        yield Line(
            text="to give B's tensors A's names, run",
            details=(printable(rename_command(comparison)),),
        )


def rename_command(comparison: Comparison) -> str:
    """Return the command, for a shell, that gives B's tensors A's names."""
    there = comparison.b.checkpoint
    fetch, where = fetch_command(there.where, there.root)
    words = (word for pair in comparison.renaming for word in pair)
    command = shlex.join(("ckpt", "rename", as_path(where), *words))
    return f"{fetch} && {command}" if fetch else command


def _group(group: DifferenceGroup, *, full: bool) -> Line:
    nbytes = f" ({change(group.nbytes)})" if group.nbytes else ""
    details = [group.remark] if group.remark else []
    if full or len(group.names) <= _SHOWN:
        details += map(printable, group.names)
    return Line(
        text=printable(group.text) + nbytes,
        mark=Status.BAD if group.harmful else Status.CHANGE,
        details=tuple(details),
    )


def _watched(comparison: Comparison) -> Iterator[Block]:
    if comparison.watched:
        yield Heading(text="config.json: keys that affect loading")
    for line in comparison.watched:
        yield _watched_line(line)


def _watched_line(line: WatchedLine) -> Line:
    both = (
        f"{value(line.a)} in both"
        if line.verdict == "same"
        else f"{value(line.a)} -> {value(line.b)}"
    )
    note = "  (absent, false and null are equivalent)" if line.verdict == "equivalent" else ""
    sides = ((line.fine_a, "A", line.remark_a), (line.fine_b, "B", line.remark_b))
    remarks = [f"{side}: stock LeRobot {remark}" for fine, side, remark in sides if not fine]
    if line.verdict == "same":
        remarks = [f"stock LeRobot {line.remark_b}"] * (not line.fine_b)
    mark = Status.GOOD if not remarks else Status.CHANGE if line.fine_b else Status.BAD
    return Line(text=f"{line.key}: {both}{note}", mark=mark, details=tuple(remarks))


def _config_values(
    title: str, changes: tuple[ValueChange, ...], listed: set[str], *, full: bool
) -> Iterator[Block]:
    rest = [
        change for change in changes if not (change.path == CONFIG and change.pointer in listed)
    ]
    if rest:
        yield Heading(text=title)
    for path, group in groupby(rest, key=lambda change: change.path):
        members = list(group)
        lines = [line for change in members for line in _changed(change)]
        details = lines if full else lines[:_SHOWN]
        if len(lines) > len(details):
            details.append(f"… and {len(lines) - len(details):,} more (--full lists them)")
        has_steps = any(step_changes(change, differences) is not None for change in members)
        yield Line(
            text=f"{printable(path)}: {count(len(lines), 'difference' if has_steps else 'value')}",
            mark=Status.CHANGE,
            details=tuple(details),
        )


def _metadata(comparison: Comparison, *, full: bool) -> Iterator[Block]:
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
    yield from _config_values("Metadata", changes, set(), full=full)
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
        return [printable(step_text(step, lambda one: value(one, 40))) for step in steps]
    note = f"  ({found.same_because})" if found.same_because else ""
    return [f"{printable(found.pointer)}: {value(found.a, 40)} -> {value(found.b, 40)}{note}"]


def _files(diff: Diff, *, full: bool) -> Iterator[Block]:
    if diff.files or diff.unread:
        yield Heading(text="Files")
    shown = diff.files if full else diff.files[: 2 * _SHOWN]
    for found in shown:
        yield Line(text=f"{printable(found.path)}: {_where(found)}", mark=Status.CHANGE)
    if len(diff.files) > len(shown):
        yield Line(text=f"… and {len(diff.files) - len(shown):,} more (--full lists them)")
    if diff.unread:
        yield Line(
            text=f"{count(len(diff.unread), 'large file')} of one size in both not compared"
            " (--values reads them)",
            details=tuple(map(printable, diff.unread if full else diff.unread[:_SHOWN])),
        )


def _where(found: FileChange) -> str:
    if found.b is None:
        return f"only in A ({size(found.a or 0)})"
    if found.a is None:
        return f"only in B ({size(found.b)})"
    return (
        f"{size(found.a)} -> {size(found.b)}"
        if found.a != found.b
        else f"different content ({size(found.a)})"
    )


def _change(comparison: Comparison) -> Iterator[Line]:
    """Yield the kind of change, where the verdict alone does not say it."""
    found = comparison.change
    if found and not comparison.same:
        alike = found.kind in (ChangeKind.IDENTICAL, ChangeKind.SAME_STRUCTURE)
        yield Line(text=found.text, mark=Status.GOOD if alike else Status.CHANGE)


def verdict(comparison: Comparison) -> Line:
    """Return whether the checkpoints differ, in what, and what was not compared."""
    diff = comparison.diff
    values = (
        value_verdict(comparison.changes)
        if comparison.changes
        else "tensor values were not compared"
    )
    if comparison.same:
        what = (
            "no differences in the selected aspects; others were not compared"
            if comparison.partial
            else "same structure"
        )
        unread = f"; {count(len(diff.unread), 'file')} not compared" if diff.unread else ""
        return Line(text=f"{what}; {values}{unread}", mark=Status.GOOD)
    counts = (
        (len(diff.only_a), "tensor only in A", "tensors only in A"),
        (len(diff.only_b), "tensor only in B", "tensors only in B"),
        (sum(len(rename.pairs) for rename in diff.renamed), "tensor renamed", "tensors renamed"),
        (len(diff.retyped), "tensor of another dtype", "tensors of another dtype"),
        (len(diff.reshaped), "tensor of another shape", "tensors of another shape"),
        (sum(not change.same_because for change in diff.values), "config value", "config values"),
        (len(diff.metadata), "metadata entry", "metadata entries"),
        (len(diff.files), "file", "files"),
    )
    parts = [f"{count:,} {one if count == 1 else many}" for count, one, many in counts if count]
    if comparison.changes:
        parts.append(values)
    return Line(text=f"different: {', '.join(parts)}", mark=Status.BAD)
