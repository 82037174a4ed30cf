"""Charts: component sizes as bars, changes by layer as a heat map. Text formats omit them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ckpt_tools.checkpoint.names import natural_key
from ckpt_tools.report.blocks import Bar, Bars, Cell, HeatMap, Status
from ckpt_tools.text import count, percent, size
from ckpt_tools.values.model import OTHER, layer_title

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ckpt_tools.diff.model import Group, Summary
    from ckpt_tools.report.blocks import Block
    from ckpt_tools.values.model import LayerChange, ValueComparison

STEPS = (0.0001, 0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1.0)
"""Upper bounds of the colors, the same in every report so that two can be compared."""
_COLUMNS = 256
"""More layers than any model has; beyond it there is no heat map."""


def component_bars(*sides: Summary, title: str = "") -> Iterator[Block]:
    """Yield bars with the bytes of each component, for one or two checkpoints.

    Yields nothing where there is only one component.
    """
    found = [{group.key: group for group in side.components} for side in sides]
    titles = {group.key: group.title for side in sides for group in side.components}
    bars = tuple(_bar(name, [groups.get(key) for groups in found]) for key, name in titles.items())
    if len(bars) > 1:
        yield Bars(
            title=title, sides=("A", "B")[: len(sides)] if len(sides) > 1 else ("",), bars=bars
        )


def _bar(label: str, groups: list[Group | None]) -> Bar:
    return Bar(
        label,
        tuple(group.nbytes if group else 0 for group in groups),
        tuple(_weight(group) for group in groups),
    )


def _weight(group: Group | None) -> str:
    return f"{size(group.nbytes)}, {group.parameters:,} parameters" if group else "none"


def change_map(changes: ValueComparison | None) -> Iterator[Block]:
    """Yield where values changed, components by layers.

    Nothing where nobody looked, or where there are no layers.
    """
    layers = {row.layer: None for row in changes.layers} if changes else {}
    columns = sorted((layer for layer in layers if layer != OTHER), key=natural_key) + [OTHER] * (
        OTHER in layers
    )
    if changes and 1 < len(columns) <= _COLUMNS:
        titles = {
            row.component: row.title + " (frozen)" * (row.trains is False) for row in changes.layers
        }
        cells = {(row.component, row.layer): _cell(row) for row in changes.layers}
        rows = tuple(
            (title, tuple(cells.get((component, layer)) for layer in columns))
            for component, title in titles.items()
        )
        framed = (
            " Framed: frozen but changed, or not finite."
            if any(row.moved or row.broken for row in changes.layers)
            else ""
        )
        note = (
            "The change of each layer: the L2 norm of B - A relative to that of A, over the tensors"
            f" that changed.{framed}"
        )
        yield HeatMap(
            title="Change by layer", note=note, columns=tuple(columns), rows=rows, steps=STEPS
        )


def _cell(row: LayerChange) -> Cell:
    counted = f"{row.changed:,} of {count(row.tensors, 'tensor')} changed"
    close = f", {row.close:,} within the tolerance" if row.close else ""
    frozen = " although frozen" if row.moved else ""
    spread = (
        f": rel. L2 {change_size(row)}, max |B - A| {row.max_abs:.3g}"
        if row.changed or row.close
        else ""
    )
    broken = f", {row.broken:,} values not finite on one side" if row.broken else ""
    bad = row.moved or row.broken
    return Cell(
        value=row.rel_l2,
        words=f"{row.title}, {layer_title(row.layer)}: {counted}{frozen}{close}{spread}{broken}",
        mark=Status.BAD if bad else Status.NONE,
    )


def change_size(row: LayerChange) -> str:
    """Return the relative norm of a layer's change, with its range over single tensors."""
    together, low, high = map(percent, (row.rel_l2, row.low, row.high))
    return f"{together} (tensors {low} … {high})" if low != high else together
