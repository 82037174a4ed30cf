"""Blocks: what a report consists of, whatever it is rendered to.

Headings, lines with a status, tables and verbatim lines, as plain strings; charts, trees and
records for formats that draw. Sentences are made in `pages`, markup in `formats`.
"""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator


class Status(StrEnum):
    """How a line stands out."""

    NONE = " "
    GOOD = "✓"
    BAD = "✗"
    CHANGE = "~"


def nominal[T: type[Any]](cls: T) -> T:
    """Make a named tuple equal to those of its own type only.

    `Heading("a", False) == Line("a", False)` would be true otherwise. A frozen dataclass says the
    same, but importing `dataclasses` costs more than the rest of a report.
    """

    def equal(self: tuple[object, ...], other: object) -> bool:
        return type(other) is cls and tuple.__eq__(self, other)

    def unequal(self: tuple[object, ...], other: object) -> bool:
        return not equal(self, other)

    def hashed(self: tuple[object, ...]) -> int:
        return hash((cls, *self))

    for name, method in (("__eq__", equal), ("__ne__", unequal), ("__hash__", hashed)):
        setattr(cls, name, method)
    return cls


@nominal
class Heading(NamedTuple):
    """The title of the blocks that follow.

    The section under a `conclusion` sums the report up: it comes last on a terminal and first on a
    web page.
    """

    text: str
    conclusion: bool = False


@nominal
class Line(NamedTuple):
    """One sentence, with `details` below it."""

    text: str
    mark: Status = Status.NONE
    details: tuple[str, ...] = ()


@nominal
class Table(NamedTuple):
    """Rows of cells under a header. `right` holds the indexes of right-aligned columns."""

    header: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    right: frozenset[int] = frozenset()


@nominal
class Verbatim(NamedTuple):
    """Preformatted lines: a tree, a listing."""

    lines: tuple[str, ...]


@nominal
class Title(NamedTuple):
    """The title of a page that is read on its own. Terminals omit it."""

    text: str


class Bar(NamedTuple):
    """The `sizes` of one item, one for each side, and their `words`. -1 where a side lacks it."""

    label: str
    sizes: tuple[int, ...]
    words: tuple[str, ...]


@nominal
class Bars(NamedTuple):
    """Sizes as proportional bars, one color for each side (A, B).

    The title becomes a heading; "" for none.
    """

    title: str
    sides: tuple[str, ...]
    bars: tuple[Bar, ...]


class Cell(NamedTuple):
    """One value of a heat map and the sentence that describes it, row and column included."""

    value: float
    words: str
    mark: Status = Status.NONE


@nominal
class HeatMap(NamedTuple):
    """Ratios as colors. `steps` are the colors' upper bounds in ascending order.

    0 and missing cells (None) stay blank. `note` describes what is shown.
    """

    title: str
    note: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, tuple[Cell | None, ...]], ...]
    steps: tuple[float, ...]


@nominal
class Topic(NamedTuple):
    """Lines about one subject: its `key` (a rule's code), its title, a collapsed `explanation`."""

    key: str
    text: str
    mark: Status
    lines: tuple[Line, ...]
    explanation: tuple[TextBlock, ...] = ()


class Column(NamedTuple):
    """A column of records: cells are text, one of few words, several of them, or a number."""

    title: str
    kind: Literal["text", "choice", "tags", "count", "size"]


class Entry(NamedTuple):
    """One record: its cells, as its columns say, and lines that are shown on demand."""

    cells: tuple[str | int | tuple[str, ...], ...]
    details: tuple[str, ...] = ()


@nominal
class Records(NamedTuple):
    """Any number of records: a browser sorts, filters and pages them.

    `name` is what they are, in the plural.
    """

    name: str
    columns: tuple[Column, ...]
    entries: tuple[Entry, ...]


class Item(NamedTuple):
    """An item of a tree with those below it; `note` says how it is related to the one above.

    `more` is how many below it are left out.
    """

    text: str
    note: str = ""
    mark: Status = Status.NONE
    items: tuple[Item, ...] = ()
    more: int = 0


@nominal
class Tree(NamedTuple):
    """Items and those below them, drawn with lines between. `more` roots are left out."""

    note: str
    items: tuple[Item, ...]
    more: int = 0


type TextBlock = Heading | Line | Table | Verbatim
"""A block that every format renders."""

type Block = TextBlock | Title | Bars | HeatMap | Topic | Records | Tree
type Page = tuple[Block, ...]


def text_blocks(page: Page) -> Iterator[TextBlock]:
    """Yield the blocks that a text format shows: topics as lines, nothing that is drawn."""
    for block in page:
        if isinstance(block, Topic):
            yield Line(text=f"{block.key} {block.text}", mark=block.mark)
            yield from block.lines
        elif isinstance(block, Heading | Line | Table | Verbatim):
            yield block
