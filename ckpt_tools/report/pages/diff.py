"""The page of `ckpt diff`.

Both sides in a table, groups of tensor differences, config keys that affect loading, other config
values, metadata, files, and the verdict.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ckpt_tools import shell
from ckpt_tools.diff.normalization import normalization_of
from ckpt_tools.report.blocks import Heading, Line, Status, Table, Title
from ckpt_tools.report.charts import change_map, component_bars
from ckpt_tools.report.pages.diff_config import (
    SHOWN,
    config_blocks,
    file_text,
    metadata_blocks,
    normalization_blocks,
)
from ckpt_tools.report.pages.diff_verdict import kind_of_change, verdict
from ckpt_tools.report.pages.values import change_blocks
from ckpt_tools.rules.remedy import as_path
from ckpt_tools.storage.address import fetch_command
from ckpt_tools.text import (
    change,
    changed_value,
    count,
    escaped,
    printable,
    signed,
    size,
    transferred,
    value,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ckpt_tools.checkpoint.model import Checkpoint
    from ckpt_tools.diff.model import (
        Comparison,
        DifferenceGroup,
        FileChange,
        Summary,
        WatchedLine,
    )
    from ckpt_tools.report.blocks import Block, Page


def diff_page(comparison: Comparison, *, full: bool = False) -> Page:
    """Return the page of `ckpt diff`.

    `full` lists every name and value; without it each kind is cut to a few.
    """
    diff = comparison.diff
    normalization = normalization_of(diff)
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
        *normalization_blocks(normalization, full=full),
        *config_blocks(comparison, normalization, full=full),
        *metadata_blocks(comparison, full=full),
        *_files(normalization.other_files, diff.unread, full=full),
        Heading(text="Verdict", conclusion=True),
        *([Line(text=transferred(comparison.transferred))] if comparison.transferred else []),
        *kind_of_change(comparison),
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
        *_header_row(a.checkpoint, b.checkpoint),
        *_file_rows(a, b),
    ]
    return Table(header=("", "A", "B", "B - A"), rows=tuple(rows), right=frozenset({1, 2, 3}))


def _header_row(a: Checkpoint, b: Checkpoint) -> Iterator[tuple[str, str, str, str]]:
    """Yield the bytes of weight files that are no tensors', where they differ.

    With them, the sizes of groups of tensors add up to the difference of the weights.
    """
    left, right = (side.size - sum(tensor.nbytes for tensor in side.tensors) for side in (a, b))
    if left != right:
        yield "of which headers", size(left), size(right), change(right - left)


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
            details=(escaped(rename_command(comparison)),),
        )


def rename_command(comparison: Comparison) -> str:
    """Return the command, for a shell, that gives B's tensors A's names."""
    there = comparison.b.checkpoint
    fetch, where = fetch_command(there.where, there.root)
    words = (word for pair in comparison.renaming for word in pair)
    command = shell.join(("ckpt", "rename", as_path(where), *words))
    return f"{fetch} && {command}" if fetch else command


def _group(group: DifferenceGroup, *, full: bool) -> Line:
    nbytes = f" ({change(group.nbytes)})" if group.nbytes else ""
    details = [group.remark] if group.remark else []
    if full or len(group.names) <= SHOWN:
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
    both = f"{value(line.a)} in both" if line.verdict == "same" else changed_value(line.a, line.b)
    note = "  (absent, false and null are equivalent)" if line.verdict == "equivalent" else ""
    sides = ((line.fine_a, "A", line.remark_a), (line.fine_b, "B", line.remark_b))
    remarks = [f"{side}: stock LeRobot {remark}" for fine, side, remark in sides if not fine]
    if line.verdict == "same":
        remarks = [f"stock LeRobot {line.remark_b}"] * (not line.fine_b)
    mark = Status.GOOD if not remarks else Status.CHANGE if line.fine_b else Status.BAD
    return Line(text=f"{line.key}: {both}{note}", mark=mark, details=tuple(remarks))


def _files(
    files: tuple[FileChange, ...], unread: tuple[str, ...], *, full: bool
) -> Iterator[Block]:
    if files or unread:
        yield Heading(text="Files")
    shown = files if full else files[: 2 * SHOWN]
    for found in shown:
        yield Line(text=f"{printable(found.path)}: {file_text(found)}", mark=Status.CHANGE)
    if len(files) > len(shown):
        yield Line(text=f"… and {len(files) - len(shown):,} more (--full lists them)")
    if unread:
        yield Line(
            text=f"{count(len(unread), 'large file')} of one size in both not compared"
            " (--values reads them)",
            details=tuple(map(printable, unread if full else unread[:SHOWN])),
        )
