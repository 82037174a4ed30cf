"""Blocks as GitHub-flavoured Markdown: for pull requests and model cards."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from ckpt_tools.report.blocks import Heading, Line, Table, text_blocks

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ckpt_tools.report.blocks import Page


_LINKED = re.compile(r"@|://|www\.", re.IGNORECASE)
"""What GitHub makes a link or a mention of even where every character is escaped."""


def render(page: Page) -> str:
    """Return `page` as Markdown.

    Text from files is escaped, so that a tensor's name cannot become a link.
    """
    return "\n".join(_lines(page)) + "\n"


def _lines(page: Page) -> Iterator[str]:
    previous: object = None
    for block in text_blocks(page):
        if previous is not None and not (isinstance(block, Line) and isinstance(previous, Line)):
            yield ""
        if isinstance(block, Heading):
            yield f"### {_escape(block.text)}"
        elif isinstance(block, Line):
            yield f"- {block.mark.strip()} {_escape(block.text)}".replace("-  ", "- ")
            yield from (f"  - {_escape(detail)}" for detail in block.details)
        elif isinstance(block, Table):
            yield from _table(block)
        else:
            fence = _longer_than_runs("\n".join(block.lines), 3)
            yield from (fence, *block.lines, fence)
        previous = block


def _table(table: Table) -> Iterator[str]:
    yield _row(table.header)
    yield (
        "|"
        + "|".join(
            "---:" if column in table.right else "---" for column in range(len(table.header))
        )
        + "|"
    )
    yield from map(_row, table.rows)


def _row(cells: tuple[str, ...]) -> str:
    return "| " + " | ".join(_escape(cell) for cell in cells) + " |"


def _escape(text: str) -> str:
    """Return text that Markdown reads as text.

    Escaped, or as code where GitHub would link it all the same.
    """
    if not _LINKED.search(text):
        return re.sub(r"([\\`*_\[\]<>|~#])", r"\\\1", text)
    ticks = _longer_than_runs(text, 1)
    return f"{ticks} {text} {ticks}".replace("|", "\\|")


def _longer_than_runs(text: str, least: int) -> str:
    """Return backticks, `least` or more, that nothing in `text` closes."""
    return "`" * max([least, *(1 + len(run) for run in re.findall("`+", text))])
