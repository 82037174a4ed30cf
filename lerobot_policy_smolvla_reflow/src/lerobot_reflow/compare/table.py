"""The tables of a comparison, for a terminal of 80 columns and as Markdown. Pure."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

WIDTH = 80  # columns of a terminal
NONE = "-"

Document = Mapping[str, Any]


@dataclass(frozen=True)
class Table:
    """A table: a caption, the heads of the columns and the rows, all text. Names come first."""

    caption: str
    head: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


def tables(document: Document) -> list[Table]:
    """The tables of a document: results, then latency where it was measured."""
    make = _success if document["mode"] == "environment" else _errors
    rows = [row for row in document["rows"] if not row["problem"]]
    found = [make(document, rows)]
    if any(row["latency"] for row in rows):
        found.append(_latency(document, rows))
    return found


def to_text(table: Table) -> str:
    """The table for a terminal: names to the left, numbers to the right."""
    lines = [table.head, *table.rows]
    widths = [max(map(len, cells)) for cells in zip(*lines, strict=True)]
    widths[0] = min(widths[0], WIDTH - sum(2 + width for width in widths[1:]))
    names = [_shorten(line[0], widths[0]) for line in lines]
    body = [
        "  ".join(
            [
                name.ljust(widths[0]),
                *(cell.rjust(width) for cell, width in zip(line[1:], widths[1:], strict=True)),
            ]
        ).rstrip()
        for name, line in zip(names, lines, strict=True)
    ]
    return "\n".join([*textwrap.wrap(table.caption, WIDTH), *body])


def to_markdown(table: Table) -> str:
    """The table in Markdown, with full names."""
    lines = [table.head, ("---", *("---:" for _ in table.head[1:])), *table.rows]
    cells = [[cell.replace("|", "\\|") for cell in line] for line in lines]
    return f"{table.caption}\n\n" + "\n".join(f"| {' | '.join(line)} |" for line in cells)


def _success(document: Document, rows: Sequence[Mapping[str, Any]]) -> Table:
    body = []
    for row in rows:
        success, paired = row["success"], row["paired"]
        body.append(
            (
                *_named(row),
                f"{success['rate']:.0%}",
                _range(success["interval"], "{:.0%}"),
                f"{paired['difference']:+.0%}" if paired else NONE,
                _range(paired["interval"], "{:+.0%}") if paired else NONE,
                _p_value(paired["p_value"]) if paired else NONE,
            )
        )
    reference = document["reference"]
    caption = (
        f"Success in {document['environment']['episodes']} episodes per run from seed "
        f"{document['environment']['seed']}, {document['n_action_steps']} actions executed per "
        f"chunk. Differences are to the {reference['policy']} at {_steps(reference['steps'])} in "
        "the same episodes."
    )
    return Table(
        caption,
        ("policy", "steps", "success", "95 %", "diff.", "95 %", "p"),
        tuple(body),
    )


def _errors(document: Document, rows: Sequence[Mapping[str, Any]]) -> Table:
    body = []
    for row in rows:
        error = row["error"]
        share = error["share"]
        body.append(
            (
                *_named(row),
                f"{error['mean']:.3f}",
                _range(error["interval"], "{:.3f}"),
                f"{error['worst']:.2f}",
                f"{error['far']:.0%}",
                f"{share['value']:.3f}" if share else NONE,
                _range(share["interval"], "{:.3f}") if share else NONE,
            )
        )
    reference, dataset = document["reference"], document["dataset"]
    caption = (
        f"RMS distance of the {document['n_action_steps']} executed actions to those of the "
        f"{reference['policy']} at {_steps(reference['steps'])} for the same noise, on "
        f"{dataset['observations']} observations, in normalized units. far: distance above "
        f"{dataset['far']:g}; share: of the teacher's error at its fewest steps."
    )
    return Table(
        caption, ("policy", "steps", "error", "95 %", "worst", "far", "share", "95 %"), tuple(body)
    )


def _latency(document: Document, rows: Sequence[Mapping[str, Any]]) -> Table:
    body = []
    for row in rows:
        if found := row["latency"]:
            parts = (found["prefix_ms"], found["denoise_ms"], found["total_ms"])
            body.append((*_named(row), *map(_milliseconds, parts)))
    measured = document["latency"]
    if compiled := measured["compiled"]:
        name = f"{document['reference']['policy']}, compiled"
        steps = str(document["reference"]["steps"])
        body.append((name, steps, NONE, NONE, _milliseconds(compiled["total_ms"])))
    caption = (
        f"Latency of one chunk in ms, batch 1, {measured['device']}, "
        f"{measured['threads']} thread{'' if measured['threads'] == 1 else 's'}, median "
        f"(quartiles) of {measured['rounds']} rounds."
    )
    if compiled:
        caption += f" The first call of the compiled model took {compiled['first_call_s']:.0f} s."
    if measured["not_compiled"]:
        caption += f" No compiled teacher: {measured['not_compiled']}."
    return Table(caption, ("policy", "steps", "prefix", "denoising", "total"), tuple(body))


def _named(row: Mapping[str, Any]) -> tuple[str, str]:
    runs = len(row["checkpoints"])
    name = row["policy"] if runs == 1 else f"{row['policy']}, {runs} seeds"
    return name, NONE if row["steps"] is None else str(row["steps"])


def _steps(count: int) -> str:
    return f"{count} step{'' if count == 1 else 's'}"


def _range(interval: Sequence[float], form: str) -> str:
    """An interval without repeated signs of percent, such as `64-81%`."""
    low, high = (form.format(value) for value in interval)
    return f"{low.removesuffix('%')} to {high.removesuffix('%')}"


def _p_value(value: float) -> str:
    return "<0.001" if value < 0.001 else f"{value:.3f}"


def _shorten(name: str, width: int) -> str:
    return name if len(name) <= width else f"{name[: width - 1]}…"


def _milliseconds(spread: Mapping[str, Any]) -> str:
    """A median and its quartiles, with a decimal only where it matters."""
    middle, low, high = (
        f"{value:.1f}" if value < 100 else f"{value:.0f}"
        for value in (spread["median"], *spread["quartiles"])
    )
    return f"{middle} ({low}-{high})"
