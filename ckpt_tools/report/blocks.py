"""What a report is made of, whatever it is rendered to.

Headings, marked lines, tables and verbatim lines of plain strings; pictures for who can draw.
"""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator


class Status(StrEnum):
    """How a line stands out."""

    NONE = " "
    GOOD = "✓"
    BAD = "✗"
    CHANGE = "~"


class Heading(NamedTuple):
    """The title of what follows.

    Under a `conclusion` stands what it all amounts to: last on a terminal, first on a page that is
    read from the top.
    """

    text: str
    conclusion: bool = False


class Line(NamedTuple):
    """One sentence, with what belongs under it."""

    text: str
    mark: Status = Status.NONE
    details: tuple[str, ...] = ()


class Table(NamedTuple):
    """Rows of cells under a header. `right` are the columns that hold numbers."""

    header: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    right: frozenset[int] = frozenset()


class Verbatim(NamedTuple):
    """Lines that keep their shape: a tree, a listing."""

    lines: tuple[str, ...]


class Title(NamedTuple):
    """What the whole page is about, for a page that travels alone.

    On a terminal the command stands above it.
    """

    text: str


class Bar(NamedTuple):
    """One thing's `sizes`, one a side, with the `words` for each.

    -1 where a side does not have it.
    """

    label: str
    sizes: tuple[int, ...]
    words: tuple[str, ...]


class Bars(NamedTuple):
    """Sizes as proportional bars, each side (A, B) in its colour.

    The title is a heading of its own, "" under another's.
    """

    title: str
    sides: tuple[str, ...]
    bars: tuple[Bar, ...]


class Cell(NamedTuple):
    """A number of a heat map, and the sentence that says it.

    The row's and column's names are in it. The mark is for what should not be.
    """

    value: float
    words: str
    mark: Status = Status.NONE


class HeatMap(NamedTuple):
    """Ratios as colours: one of `steps` a colour, upper bounds in rising order.

    0 and what has no cell (None) have none. `note` says what is shown.
    """

    title: str
    note: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, tuple[Cell | None, ...]], ...]
    steps: tuple[float, ...]


class Topic(NamedTuple):
    """Lines about one and the same thing.

    A `key` by which people know it, what it is, and the `explanation` for who wants to know more.
    """

    key: str
    text: str
    mark: Status
    lines: tuple[Line, ...]
    explanation: tuple[Told, ...] = ()


type Told = Heading | Line | Table | Verbatim
"""What every renderer tells."""

type Block = Told | Title | Bars | HeatMap | Topic
type Page = tuple[Block, ...]


def told(page: Page) -> Iterator[Told]:
    """Yield what is left of `page` in lines of text.

    No title, no pictures, and of a topic its name and its lines.
    """
    for block in page:
        if isinstance(block, Topic):
            yield Line(text=f"{block.key} {block.text}", mark=block.mark)
            yield from block.lines
        elif isinstance(block, Heading | Line | Table | Verbatim):
            yield block
