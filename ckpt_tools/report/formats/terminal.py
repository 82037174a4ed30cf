"""Blocks for a terminal: color, and lines and tables that wrap at its width.

Lines break at blanks only, so that a name, a path or a command can be copied whole: what is wider
than the terminal stands on a line of its own. Of rich, only the widths of characters are used.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.cells import cell_len

from ckpt_tools.report.blocks import Heading, Line, Status, Table, text_blocks
from ckpt_tools.report.formats.columns import table_lines

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ckpt_tools.report.blocks import Page

_BOLD, _DIM, _PLAIN = "1", "2", ""
_STYLES = {Status.GOOD: "32", Status.BAD: "1;31", Status.CHANGE: "33", Status.NONE: _PLAIN}

_COMMANDS = ("ckpt ", "hf ", "pip ", "python ")
"""How a line begins that is a command: broken in two, a shell would run its halves."""


def render(page: Page, width: int, *, color: bool) -> str:
    """Return `page` for a terminal of `width` columns, in color if `color`."""
    lines = (_painted(*line) if color else "".join(line[1::2]) for line in _lines(page, width))
    return "\n".join(lines) + "\n"


def _lines(page: Page, width: int) -> Iterator[tuple[str, ...]]:
    """Yield the lines as (style, text, style, text, …)."""
    for place, block in enumerate(text_blocks(page)):
        if isinstance(block, Heading):
            yield from ([(_PLAIN, "")] if place else [])
            yield from ((_BOLD, line) for line in wrapped(block.text, width))
        elif isinstance(block, Line):
            yield from _line(block, width)
        elif isinstance(block, Table):
            for position, lines in enumerate(table_lines(block, width, wrapped, cell_len)):
                yield from ((_PLAIN if position else _BOLD, line) for line in lines)
        else:
            for text in block.lines:
                indent = " " * (len(text) - len(text.lstrip()))
                yield from (
                    (_PLAIN, line)
                    for line in wrapped(text.lstrip(), width, indent, indent + "    ")
                )


def _line(line: Line, width: int) -> Iterator[tuple[str, ...]]:
    first, *rest = wrapped(line.text, width, " " * 4, " " * 4)
    yield _PLAIN, "  ", _STYLES[line.mark], line.mark.value, _PLAIN, first[3:]
    yield from ((_PLAIN, text) for text in rest)
    for detail in line.details:
        for text in wrapped(detail, width, " " * 6, " " * 8):
            yield _DIM, text


def wrapped(text: str, width: int, first: str = "", rest: str = "") -> list[str]:
    """Break `text` at blanks into lines of at most `width` columns, where its words allow that.

    `first` is in front of the first line, `rest` in front of the others. A command stays one line,
    and an arrow stays with what follows it.
    """
    words = [text] if text.startswith(_COMMANDS) else text.replace(" -> ", " ->\0").split(" ")
    lines = [first + words[0].replace("\0", " ")]
    for word in (word.replace("\0", " ") for word in words[1:]):
        if cell_len(lines[-1]) + 1 + cell_len(word) <= width:
            lines[-1] += f" {word}"
        else:
            lines.append(rest + word)
    return [line.rstrip() for line in lines]


def _painted(*parts: str) -> str:
    """Return (style, text, …) as text with escape sequences."""
    return "".join(
        f"\x1b[{style}m{text}\x1b[0m" if style and text.strip() else text
        for style, text in zip(parts[::2], parts[1::2], strict=True)
    )
