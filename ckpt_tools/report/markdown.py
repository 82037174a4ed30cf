"""Blocks as GitHub-flavoured Markdown: for pull requests and model cards."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from ckpt_tools.report.blocks import Heading, Line, Table

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ckpt_tools.report.blocks import Page


_ZERO_WIDTH_SPACE = "\u200b"
"""GitHub links bare addresses and mentions people even where the characters are escaped; this breaks them up."""


def render(page: Page) -> str:
    """Return `page` as Markdown; text from files is escaped, so that a tensor's name cannot become a link."""
    return "\n".join(_lines(page)) + "\n"


def _lines(page: Page) -> Iterator[str]:
    previous: object = None
    for block in page:
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
            fence = "`" * max(3, 1 + max((len(run) for line in block.lines for run in re.findall("`+", line)), default=0))
            yield from (fence, *block.lines, fence)
        previous = block


def _table(table: Table) -> Iterator[str]:
    yield _row(table.header)
    yield "|" + "|".join("---:" if column in table.right else "---" for column in range(len(table.header))) + "|"
    yield from map(_row, table.rows)


def _row(cells: tuple[str, ...]) -> str:
    return "| " + " | ".join(_escape(cell) for cell in cells) + " |"


def _escape(text: str) -> str:
    """Escape what Markdown would read as markup, links and mentions included."""
    unlinked = re.sub(r"(@|:(?=//)|www(?=\.))", rf"\1{_ZERO_WIDTH_SPACE}", text, flags=re.IGNORECASE)
    return re.sub(r"([\\`*_\[\]<>|~#])", r"\\\1", unlinked)
