"""Blocks for a terminal: color, and tables and lines that wrap at its width.

The only module that imports rich; it is loaded for terminals only.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.console import Console, Group
from rich.padding import Padding
from rich.table import Table as RichTable
from rich.text import Text

from ckpt_tools.report.blocks import Heading, Line, Status, Table, text_blocks

if TYPE_CHECKING:
    from rich.console import RenderableType

    from ckpt_tools.report.blocks import Page, TextBlock

_STYLES = {Status.GOOD: "green", Status.BAD: "bold red", Status.CHANGE: "yellow", Status.NONE: ""}


def render(page: Page, width: int, *, color: bool) -> str:
    """Return `page` for a terminal of `width` columns, in color if `color`."""
    console = Console(
        width=width,
        force_terminal=True,
        color_system="standard" if color else None,
        no_color=not color,  # whatever NO_COLOR says: the caller has decided
        highlight=False,
        emoji=False,
    )
    with console.capture() as capture:
        console.print(Group(*(_drawn(block) for block in text_blocks(page))))
    return capture.get()


def _drawn(block: TextBlock) -> RenderableType:
    if isinstance(block, Heading):
        return Padding(Text(block.text, style="bold"), (1, 0, 0, 0))
    if isinstance(block, Line):
        return _line(block)
    if isinstance(block, Table):
        return _table(block)
    return Text("\n".join(block.lines), no_wrap=True, overflow="ellipsis")


def _line(line: Line) -> RenderableType:
    grid = RichTable.grid(padding=(0, 1, 0, 0))
    grid.add_column(width=3, justify="right")
    grid.add_column(overflow="fold")
    grid.add_row(Text(line.mark, style=_STYLES[line.mark]), Text(line.text))
    for detail in line.details:
        grid.add_row("", Padding(Text(detail, style="dim"), (0, 0, 0, 2)))
    return grid


def _table(table: Table) -> RenderableType:
    drawn = RichTable(box=None, pad_edge=False, padding=(0, 1), header_style="bold")
    for column, title in enumerate(table.header):
        drawn.add_column(
            Text(title), justify="right" if column in table.right else "left", overflow="fold"
        )
    for row in table.rows:
        drawn.add_row(*map(Text, row))
    return Padding(drawn, (0, 0, 0, 2))
