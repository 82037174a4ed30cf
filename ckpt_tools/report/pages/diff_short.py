"""`ckpt diff --stat` and `--name-only`: what differs in one table, and only its names."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from ckpt_tools.checkpoint.names import value_address
from ckpt_tools.diff.normalization import normalization_of
from ckpt_tools.report.blocks import Line, Table
from ckpt_tools.report.pages.diff_verdict import values_not_compared, verdict
from ckpt_tools.text import change, printable

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ckpt_tools.diff.model import Comparison
    from ckpt_tools.report.blocks import Page


def stat_page(comparison: Comparison) -> Page:
    """Return one row for each way in which tensors, values and files differ.

    Without a difference it is the verdict.
    """
    rows: tuple[tuple[str, ...], ...] = tuple(_rows(comparison))
    if not rows:
        return (verdict(comparison),)
    header: tuple[str, ...] = ("number", "size", "what differs")
    if not any(row[1] for row in rows):
        header, rows = ("number", "what differs"), tuple((row[0], row[-1]) for row in rows)
    table = Table(header=header, rows=rows, right=frozenset(range(len(header) - 1)))
    unread = values_not_compared(comparison)
    return (table, Line(text=unread)) if unread else (table,)


def _rows(comparison: Comparison) -> Iterator[tuple[str, str, str]]:
    for group in comparison.stories:
        nbytes = change(group.nbytes) if group.nbytes else ""
        text = group.text.removeprefix(f"{group.tensors:,} ")  # the first cell has the number
        yield f"{group.tensors:,}", nbytes, printable(text)
    for row in comparison.changes.components if comparison.changes else ():
        if row.changed:
            yield f"{row.changed:,}", "", f"{printable(row.title)}: tensor values"
    diff = comparison.diff
    normalization = normalization_of(diff)
    if normalization.number:
        yield f"{normalization.number:,}", "", "normalization: steps, statistics, files"
    counted = (one.path for one in normalization.other_values if not one.same_because)
    for path, number in Counter(counted).items():
        yield f"{number:,}", "", f"{printable(path)}: values"
    if diff.metadata:
        yield f"{len(diff.metadata):,}", "", "metadata entries"
    for file in normalization.other_files:
        more = (file.b or 0) - (file.a or 0)
        yield "1", change(more) if more else "", f"file {printable(file.path)}"


def changed_names(comparison: Comparison) -> list[str]:
    """Return the address of everything that differs, each once; of a renamed tensor both names."""
    diff = comparison.diff
    pairs = (*diff.retyped, *diff.reshaped, *(pair for one in diff.renamed for pair in one.pairs))
    values = (
        one.b for one in (comparison.changes.tensors if comparison.changes else ()) if one.changed
    )
    tensors = (*diff.only_a, *diff.only_b, *(one for pair in pairs for one in pair), *values)
    return list(
        dict.fromkeys(
            (
                *(tensor.name for tensor in tensors),
                *(
                    value_address(one.path, one.pointer)
                    for one in (*diff.values, *diff.metadata)
                    if not one.same_because
                ),
                *(file.path for file in diff.files),
            )
        )
    )
