"""Blocks as plain text: for pipes and files. The same blocks on a terminal are `terminal`'s."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ckpt_tools.report.blocks import Heading, Line, Table, text_blocks

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ckpt_tools.report.blocks import Page


def render(page: Page) -> str:
    """Return `page` as lines without color; columns are as wide as they need to be."""
    return "\n".join(_lines(page)) + "\n"


def _lines(page: Page) -> Iterator[str]:
    for position, block in enumerate(text_blocks(page)):
        if isinstance(block, Heading):
            yield from ([""] if position else [])
            yield block.text
        elif isinstance(block, Line):
            yield f"  {block.mark} {block.text}"
            yield from (f"      {detail}" for detail in block.details)
        elif isinstance(block, Table):
            yield from table_lines(block)
        else:
            yield from block.lines


def table_lines(table: Table) -> Iterator[str]:
    """Yield the lines of a table, cells padded with blanks."""
    rows = (table.header, *table.rows)
    widths = [max(len(row[column]) for row in rows) for column in range(len(table.header))]
    for row in rows:
        cells = (
            cell.rjust(width) if column in table.right else cell.ljust(width)
            for column, (cell, width) in enumerate(zip(row, widths, strict=True))
        )
        yield ("  " + "  ".join(cells)).rstrip()
