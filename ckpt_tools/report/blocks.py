"""What a report is made of, whatever it is rendered to: headings, marked lines and tables of plain strings."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Mark(StrEnum):
    """How a line stands out."""

    NONE = " "
    GOOD = "✓"
    BAD = "✗"
    CHANGE = "~"


@dataclass(frozen=True, slots=True, kw_only=True)
class Heading:
    """The title of what follows."""

    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """One sentence, with what belongs under it."""

    text: str
    mark: Mark = Mark.NONE
    details: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """Rows of cells under a header. `right` are the columns that hold numbers."""

    header: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    right: frozenset[int] = frozenset()


@dataclass(frozen=True, slots=True, kw_only=True)
class Verbatim:
    """Lines that keep their shape: a tree, a listing."""

    lines: tuple[str, ...]


type Block = Heading | Line | Table | Verbatim
type Page = tuple[Block, ...]
