"""Blocks as HTML elements.

Every text goes through `safe`, no element has inline style, and nothing refers outside the page.
"""

from __future__ import annotations

import re
from html import escape
from itertools import groupby
from typing import TYPE_CHECKING

from ckpt_tools.report.blocks import (
    Bars,
    HeatMap,
    Line,
    Records,
    Status,
    Table,
    Topic,
    Tree,
    Verbatim,
)
from ckpt_tools.report.formats.html_records import records_markup, tree_markup
from ckpt_tools.text import escaped, percent

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from ckpt_tools.report.blocks import Bar, Block, Cell

SHOWN = {"lines": 30, "details": 6}
"""Visible lines of a list; with at most A_FEW_MORE beyond that, all are visible."""
A_FEW_MORE = 2
LISTED = 1_000
"""Lines of a list or rows of a table on a page; JSON has all."""
WIDE = 4
"""Columns that fit a phone."""
LONG = 60
"""Rows of a table that are not collapsed."""

_MARKS = {
    Status.GOOD: ("good", "good"),
    Status.BAD: ("bad", "bad"),
    Status.CHANGE: ("change", "note"),
    Status.NONE: ("none", ""),
}


class Anchors:
    """The ids of one page: each is given once."""

    def __init__(self, *taken: str) -> None:
        self._taken = set(taken)

    def new(self, text: str) -> str:
        """Return an id that resembles `text` and that no other element has."""
        wanted = re.sub(r"[^A-Za-z0-9]+", "-", text)[:40].strip("-") or "part"
        found, number = wanted, 1
        while found.lower() in self._taken:
            number += 1
            found = f"{wanted}-{number}"
        self._taken.add(found.lower())
        return found


def safe(text: str) -> str:
    """Return `text` as inert HTML: markup and control characters escaped."""
    return escape(escaped(text))


def markup(blocks: Iterable[Block], anchors: Anchors) -> Iterator[str]:
    """Yield the elements of the blocks between two headings; consecutive lines form one list."""
    for alike, group in groupby(blocks, key=lambda block: isinstance(block, Line)):
        members = list(group)
        if alike:
            yield from listed([_item(line) for line in members if isinstance(line, Line)], "lines")
        else:
            yield from (part for block in members for part in _element(block, anchors))


def listed(items: Sequence[str], kind: str) -> Iterator[str]:
    """Yield a list of items; more than a few are collapsed."""
    shown = len(items) if len(items) <= SHOWN[kind] + A_FEW_MORE else SHOWN[kind]
    if items:
        yield f'<ul class="{kind}">{"".join(f"<li>{item}</li>" for item in items[:shown])}</ul>'
    if len(items) > shown:
        folded = items[shown:LISTED]
        yield f'<details><summary>{len(items) - shown:,} more</summary><ul class="{kind}">'
        yield "".join(f"<li>{item}</li>" for item in folded)
        yield f"</ul>{_left_out(len(items) - LISTED)}</details>"


def marked(line: Line) -> str:
    """Return a line's text after its mark, which screen readers speak as a word."""
    kind, spoken = _MARKS[line.mark]
    sign = (
        f'<span class="mark" role="img" aria-label="{spoken}">{line.mark}</span> ' if spoken else ""
    )
    return f'<span class="line {kind}">{sign}{safe(line.text)}</span>'


def _left_out(count: int) -> str:
    return f"<p>and {count:,} more: <code>--format json</code> lists them</p>" if count > 0 else ""


def _item(line: Line) -> str:
    return marked(line) + "".join(listed([safe(detail) for detail in line.details], "details"))


def _element(block: Block, anchors: Anchors) -> Iterator[str]:
    if isinstance(block, Table):
        yield from _table(block)
    elif isinstance(block, Verbatim):
        yield _verbatim(block)
    elif isinstance(block, Bars):
        yield from _bars(block)
    elif isinstance(block, HeatMap):
        yield from _heat_map(block, anchors)
    elif isinstance(block, Topic):
        yield from _topic(block, anchors)
    elif isinstance(block, Records):
        yield from records_markup(block, safe)
    elif isinstance(block, Tree):
        yield from tree_markup(block, safe, marked)


def _table(table: Table) -> Iterator[str]:
    wide, long = len(table.header) > WIDE, len(table.rows) > LONG
    if long:
        yield (
            f"<details><summary>{len(table.rows):,} rows:"
            f" {safe(', '.join(filter(None, table.header)))}</summary>"
        )
    if wide:
        yield '<div class="scroll" role="region" aria-label="table" tabindex="0">'
    yield f"<table><thead>{_row(table, table.header, 'col')}</thead><tbody>"
    yield from (_row(table, row, "row") for row in table.rows[:LISTED])
    yield "</tbody></table></div>" if wide else "</tbody></table>"
    yield _left_out(len(table.rows) - LISTED)
    if long:
        yield "</details>"


def _row(table: Table, cells: tuple[str, ...], scope: str) -> str:
    """Return a row of cells; header cells name columns, the first cell of other rows the row."""
    found = []
    for column, cell in enumerate(cells):
        right = ' class="right"' if column in table.right else ""
        is_name = cell and (scope == "col" or column == 0)
        found.append(
            f'<th scope="{scope}"{right}>{safe(cell)}</th>'
            if is_name
            else f"<td{right}>{safe(cell)}</td>"
        )
    return f"<tr>{''.join(found)}</tr>"


def _verbatim(block: Verbatim) -> str:
    return f'<pre tabindex="0">{"\n".join(map(safe, block.lines))}</pre>'


def _bars(block: Bars) -> Iterator[str]:
    largest = max((size for bar in block.bars for size in bar.sizes), default=0)
    yield '<ul class="bars">'
    for bar in block.bars:
        sides = "".join(_sides(block, bar, largest))
        yield f'<li><span class="label">{safe(bar.label)}</span>{sides}</li>'
    yield "</ul>"


def _sides(block: Bars, bar: Bar, largest: int) -> Iterator[str]:
    for number, (side, size, words) in enumerate(
        zip(block.sides, bar.sizes, bar.words, strict=True)
    ):
        # A size above zero stays visible, however small next to the largest.
        share = max(0.3, 100 * size / largest) if size > 0 else 0
        drawn = (
            f'<rect class="track" width="100%" height="10"/><rect class="side{number}"'
            f' width="{share:.4g}%" height="10"/>'
        )
        picture = f'<svg width="100%" height="10" aria-hidden="true">{drawn}</svg>'
        yield (
            f'<span class="side">{safe(side)}</span>{picture}<span'
            f' class="words">{safe(words)}</span>'
        )


def _heat_map(block: HeatMap, anchors: Anchors) -> Iterator[str]:
    after = anchors.new("after the map")
    yield f"<p>{safe(block.note)}</p>{_legend(block)}"
    yield f'<a class="skip" href="#{after}">Skip the cells of the map</a>'
    yield (
        '<div class="map"><p class="hint" aria-hidden="true">Point at a cell, or go to it with'
        " the tab key, for its number.</p>"
    )
    columns = "".join(f'<th scope="col">{safe(column)}</th>' for column in block.columns)
    yield (
        f'<div class="scroll"><table class="heat"><thead><tr><td></td>{columns}</tr></thead><tbody>'
    )
    for label, cells in block.rows:
        row = "".join(_cell(cell, block.steps) for cell in cells)
        yield f'<tr><th scope="row">{safe(label)}</th>{row}</tr>'
    yield f'</tbody></table></div></div><span id="{after}" tabindex="-1"></span>'


def _legend(block: HeatMap) -> str:
    words = [
        "none",
        *(f"≤ {percent(step)}" for step in block.steps),
        f"> {percent(block.steps[-1])}",
    ]
    steps = (
        f"<li><span class='h{heat}'></span>{safe(word)}</li>" for heat, word in enumerate(words)
    )
    return f'<ul class="legend">{"".join(steps)}</ul>'


def _cell(cell: Cell | None, steps: tuple[float, ...]) -> str:
    if cell is None:
        return "<td></td>"
    # NaN is beyond every step.
    heat = next(
        (number for number, step in enumerate((0.0, *steps)) if cell.value <= step), len(steps) + 1
    )
    return (
        f'<td class="h{heat}{" bad" * (cell.mark is Status.BAD)}"'
        f' tabindex="0"><span>{safe(cell.words)}</span></td>'
    )


def _topic(topic: Topic, anchors: Anchors) -> Iterator[str]:
    anchor = anchors.new(topic.key)
    kind, spoken = _MARKS[topic.mark]
    yield (
        f'<article class="topic {kind}" id="{anchor}"><h3><a'
        f' href="#{anchor}">{safe(topic.key)}</a> {safe(topic.text)}'
    )
    yield f'<span class="hidden"> ({spoken})</span></h3>' if spoken else "</h3>"
    yield from listed([_item(line) for line in topic.lines], "lines")
    yield from _explanation(topic)
    yield "</article>"


def _explanation(topic: Topic) -> Iterator[str]:
    if topic.explanation:
        first, *rest = topic.explanation
        yield (
            f"<details><summary>The rule: {_prose(first, 'b')}</summary>"
            f"{''.join(_prose(block, 'p') for block in rest)}</details>"
        )


def _prose(block: Block, element: str) -> str:
    """Return a paragraph of documentation, with backticks as code."""
    if isinstance(block, Line):
        return (
            f"<{element}>{re.sub(r'`([^`]+)`', r'<code>\1</code>', safe(block.text))}</{element}>"
        )
    return _verbatim(block) if isinstance(block, Verbatim) else ""
