"""Tables in a given width: cells wrap at blanks, and one that is still too wide leaves its row.

Such a cell, a long name or path, has lines of its own: above its row where it is the first of it,
below it otherwise.
"""

from __future__ import annotations

from itertools import zip_longest
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from ckpt_tools.report.blocks import Table

    type Wrap = Callable[[str, int], list[str]]
    type Measure = Callable[[str], int]

_INDENT, _GAP, _DEEPER = "  ", "  ", "    "
_LEAST = 12
"""Columns that a cell with a long word keeps, however much room the others want."""


def table_lines(table: Table, width: int, wrap: Wrap, measure: Measure) -> Iterator[list[str]]:
    """Yield the lines of each row of a table, of the header first."""
    rows = (table.header, *table.rows)
    room = width - len(_INDENT) - len(_GAP) * (len(table.header) - 1)
    widths = _widths(table, room, measure)
    for row in rows:
        if sum(widths) > room:
            words = wrap(" ".join(filter(None, row)), width - len(_DEEPER))
            yield [f"{_DEEPER if place else _INDENT}{line}" for place, line in enumerate(words)]
        else:
            yield list(_row(row, table.right, widths, width, wrap, measure))


def _widths(table: Table, room: int, measure: Measure) -> list[int]:
    """Return the widths of the columns: those of their cells, less where there is no room.

    The widest column gives way first, down to its longest word. Where that is not enough, the
    column with the longest word gives way alone, if it can. Numbers and their units stay together.
    """
    columns = list(zip(table.header, *table.rows, strict=True))
    widths = [max(map(measure, column)) for column in columns]
    words = [
        max(map(measure, [*column[0].split(" "), *_parts(column[1:], whole=place in table.right)]))
        for place, column in enumerate(columns)
    ]
    short = [
        word if place in table.right else min(_LEAST, word) for place, word in enumerate(words)
    ]
    longest = words.index(max(words))
    alone = [*widths[:longest], short[longest], *widths[longest + 1 :]]
    for least in [words] if sum(words) <= room else [alone, short]:
        widths = _narrowed(widths, least, room)
    return widths


def _narrowed(widths: list[int], least: Sequence[int], room: int) -> list[int]:
    """Take from the widest column first, from none more than down to its `least` width."""
    while sum(widths) > room:
        able = [place for place, taken in enumerate(widths) if taken > least[place]]
        if not able:
            break
        widest = max(able, key=lambda place: widths[place])
        widths[widest] = max(least[widest], widths[widest] - (sum(widths) - room))
    return widths


def _parts(cells: Sequence[str], *, whole: bool) -> Iterator[str]:
    """Yield what of some cells must not be broken."""
    for cell in cells:
        yield from ([cell] if whole else cell.split(" "))


def _row(  # noqa: PLR0913, PLR0917 - a row and what it is drawn with
    row: Sequence[str],
    right: frozenset[int],
    widths: Sequence[int],
    width: int,
    wrap: Wrap,
    measure: Measure,
) -> Iterator[str]:
    """Yield the lines of a row, with those of cells that are too wide before and after them."""
    cells = [wrap(cell, taken) for cell, taken in zip(row, widths, strict=True)]
    wide = [
        place
        for place, (lines, taken) in enumerate(zip(cells, widths, strict=True))
        if max(map(measure, lines)) > taken
    ]
    if 0 in wide:
        yield from (f"{_INDENT}{line}" for line in wrap(row[0], width - len(_INDENT)))
    for place in wide:
        cells[place] = [""]
    for parts in zip_longest(*cells, fillvalue=""):
        padded = (
            f"{' ' * blanks}{part}" if place in right else f"{part}{' ' * blanks}"
            for place, part in enumerate(parts)
            for blanks in (widths[place] - measure(part),)
        )
        yield (_INDENT + _GAP.join(padded)).rstrip()
    for place in wide:
        if place:
            yield from (f"{_DEEPER}{line}" for line in wrap(row[place], width - len(_DEEPER)))
