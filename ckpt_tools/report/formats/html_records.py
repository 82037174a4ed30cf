"""Records and trees as HTML elements.

Records are a table of the first ones, and all of them as JSON for the page's script. Trees are
nested lists, whose lines the style sheet draws.
"""

from __future__ import annotations

import json
from itertools import starmap
from typing import TYPE_CHECKING

from ckpt_tools.report.blocks import Line
from ckpt_tools.text import size

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from ckpt_tools.report.blocks import Column, Entry, Item, Records, Tree

FIRST = 50
"""Records in the page without its script, as many as the script shows at a time."""

_ENDS = "<>&\x7f"
"""Characters that are escaped in JSON, so that none can end the element that it is in."""

_OPEN = 6
"""Items below one of a tree that are not collapsed."""

type Safe = Callable[[str], str]
type Marked = Callable[[Line], str]


def records_markup(block: Records, safe: Safe) -> Iterator[str]:
    """Yield the element that the script fills, with the first records in it."""
    yield f'<div class="records"><script type="application/json">{_data(block)}</script>'
    if len(block.entries) > FIRST:
        yield (
            f"<p>The first {FIRST} of {len(block.entries):,} {safe(block.name)}. With JavaScript"
            " they can all be sorted and filtered.</p>"
        )
    yield f'<div class="scroll" role="region" aria-label="{safe(block.name)}" tabindex="0">'
    heads = "".join(f'<th scope="col">{safe(column.title)}</th>' for column in block.columns)
    yield f"<table><thead><tr>{heads}</tr></thead><tbody>"
    for entry in block.entries[:FIRST]:
        yield f"<tr>{''.join(_cells(block.columns, entry, safe))}</tr>"
    yield "</tbody></table></div></div>"


def tree_markup(block: Tree, safe: Safe, marked: Marked) -> Iterator[str]:
    """Yield a tree as nested lists."""
    yield f"<p>{safe(block.note)}</p>"
    yield f'<ul class="tree">{"".join(_item(item, safe, marked) for item in block.items)}</ul>'
    if block.more:
        yield f"<p>and {block.more:,} more trees</p>"


def _item(item: Item, safe: Safe, marked: Marked) -> str:
    note = f' <span class="words">{safe(item.note)}</span>' if item.note else ""
    return f"<li>{marked(Line(item.text, item.mark))}{note}{_below(item, safe, marked)}</li>"


def _below(item: Item, safe: Safe, marked: Marked) -> str:
    items = "".join(_item(one, safe, marked) for one in item.items)
    more = f"<li>and {item.more:,} more</li>" if item.more else ""
    if not items + more:
        return ""
    found = f"<ul>{items}{more}</ul>"
    number = len(item.items) + item.more
    if number <= _OPEN:
        return found
    return f"<details><summary>{number:,} below it</summary>{found}</details>"


def _cells(columns: tuple[Column, ...], entry: Entry, safe: Safe) -> Iterator[str]:
    texts = list(starmap(_text, zip(columns, entry.cells, strict=True)))
    lines = "".join(f"<li>{safe(line)}</li>" for line in entry.details)
    name = safe(texts[0])
    if lines:
        name = f'<details><summary>{name}</summary><ul class="details">{lines}</ul></details>'
    yield f'<th scope="row">{name}</th>'
    for column, text in zip(columns[1:], texts[1:], strict=True):
        right = ' class="right"' * (column.kind in ("count", "size"))
        yield f"<td{right}>{safe(text)}</td>"


def _text(column: Column, cell: str | int | tuple[str, ...]) -> str:
    if isinstance(cell, tuple):
        return " ".join(cell)
    if isinstance(cell, int):
        return size(cell) if column.kind == "size" else f"{cell:,}" * bool(cell)
    return cell


def _data(block: Records) -> str:
    """Return the records as JSON that cannot end its element: by column, repeated words once."""
    columns: list[dict[str, object]] = []
    cells: list[list[object]] = []
    for at, column in enumerate(block.columns):
        values = [entry.cells[at] for entry in block.entries]
        columns.append({"title": column.title, "kind": column.kind})
        if column.kind in ("choice", "tags"):
            rows = [value if isinstance(value, tuple) else (str(value),) for value in values]
            names = sorted({name for row in rows for name in row})
            place = {name: number for number, name in enumerate(names)}
            columns[-1]["names"] = names
            numbers = [[place[name] for name in row] for row in rows]
            cells.append([*(row[0] for row in numbers)] if column.kind == "choice" else [*numbers])
        else:
            cells.append([*values])
    details = {number: entry.details for number, entry in enumerate(block.entries) if entry.details}
    document = {"name": block.name, "columns": columns, "cells": cells, "details": details}
    text = json.dumps(document, separators=(",", ":"))
    for character in _ENDS:
        text = text.replace(character, f"\\u{ord(character):04x}")
    return text
