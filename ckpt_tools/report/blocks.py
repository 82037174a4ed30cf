"""What a report is made of, whatever it is rendered to: headings, marked lines and tables of plain strings."""

from __future__ import annotations

from enum import StrEnum
from typing import NamedTuple


class Mark(StrEnum):
    """How a line stands out."""

    NONE = " "
    GOOD = "✓"
    BAD = "✗"
    CHANGE = "~"


class Heading(NamedTuple):
    """The title of what follows."""

    text: str


class Line(NamedTuple):
    """One sentence, with what belongs under it."""

    text: str
    mark: Mark = Mark.NONE
    details: tuple[str, ...] = ()


class Table(NamedTuple):
    """Rows of cells under a header. `right` are the columns that hold numbers."""

    header: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    right: frozenset[int] = frozenset()


class Verbatim(NamedTuple):
    """Lines that keep their shape: a tree, a listing."""

    lines: tuple[str, ...]


type Block = Heading | Line | Table | Verbatim
type Page = tuple[Block, ...]
