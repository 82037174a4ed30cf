"""Values of tensors as blocks.

What changed between two checkpoints, the most changed first, and what the values of one are.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ckpt_tools.report.blocks import Heading, Line, Status, Table
from ckpt_tools.text import count, percent, printable
from ckpt_tools.values.model import Sameness

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from ckpt_tools.report.blocks import Block
    from ckpt_tools.values.model import (
        LayerChange,
        LayerValues,
        TensorChange,
        ValueComparison,
        ValueSummary,
    )

_SHOWN = 4
"""How many layers of a component fit the first screen."""


def change_blocks(changes: ValueComparison, *, full: bool) -> Iterator[Block]:
    """Yield what changed in the values.

    `full` lists every layer, and every tensor that is not identical.
    """
    if not (changes.components or changes.uncompared):
        return
    yield Heading(text="values of the tensors")
    for row in sorted(
        changes.components, key=lambda row: (not row.moved, not row.changed, -row.high)
    ):
        layers = [layer for layer in changes.layers if layer.component == row.component]
        yield Line(
            text=_told(row), mark=_mark(row), details=tuple(_details(row, layers, full=full))
        )
    if changes.uncompared:
        what = (
            "1 tensor has"
            if changes.uncompared == 1
            else f"{changes.uncompared:,} tensors of either side have"
        )
        yield Line(text=f"{what} no partner of the same shape, and no change to tell")
    if full:
        yield from _tensors(changes.tensors)


def _mark(row: LayerChange) -> Status:
    if row.moved or row.broken:
        return Status.BAD
    return Status.CHANGE if row.changed else Status.GOOD


def _told(row: LayerChange) -> str:
    """Return one sentence on a component."""
    if row.identical == row.tensors:
        return f"{row.title}: identical ({row.tensors:,} of {row.tensors:,})"
    if not row.changed:
        return f"{row.title}: unchanged ({', '.join(_counts(row))})"
    frozen = "frozen, and yet changed" if row.moved else "changed"
    return f"{row.title}: {frozen} ({row.changed:,} of {row.tensors:,}), rel. L2 {_range(row)}, largest |B - A| {row.max_abs:.3g}"


def _counts(row: LayerChange) -> Iterator[str]:
    kinds = (
        (row.identical, "the same bytes"),
        (row.equal, "the same values in other bits"),
        (
            row.close,
            "within the tolerance"
            if row.changed
            else f"within the tolerance, rel. L2 {_range(row)}",
        ),
    )
    yield from (f"{count:,} of {row.tensors:,} {words}" for count, words in kinds if count)


def _details(row: LayerChange, layers: Sequence[LayerChange], *, full: bool) -> Iterator[str]:
    if row.moved:
        yield "the config of B does not let this part train: something else wrote these values"
    if row.broken:
        values = "1 value is" if row.broken == 1 else f"{row.broken:,} values are"
        yield f"{values} NaN or infinite on one side and something else on the other"
    if row.changed and row.changed < row.tensors and (row.identical or row.equal or row.close):
        yield f"unchanged: {', '.join(_counts(row))}"
    moved = sorted((layer for layer in layers if layer.changed), key=lambda layer: -layer.high)
    if len(layers) > 1:
        shown = moved if full else moved[:_SHOWN]
        yield from (
            f"{_layer(layer)}: {layer.changed:,} of {layer.tensors:,}, rel. L2 {_range(layer)}"
            for layer in shown
        )
        if len(moved) > len(shown):
            yield f"… and {len(moved) - len(shown):,} more layers that changed less (--full lists them)"


def _layer(row: LayerChange | LayerValues) -> str:
    return f"layer {row.layer}" if row.layer.isdecimal() else "in no layer"


def _range(row: LayerChange) -> str:
    low, high = percent(row.low), percent(row.high)
    return low if low == high else f"{low} … {high}"


def _tensors(changes: Sequence[TensorChange]) -> Iterator[Block]:
    """Yield a table of the tensors that are not identical, the most changed first."""
    rest = sorted(
        (change for change in changes if change.sameness is not Sameness.IDENTICAL),
        key=lambda change: (-change.facts.rel_l2, change.b.name),
    )
    rows = [
        (
            printable(change.b.name),
            change.sameness.value,
            percent(change.facts.rel_l2),
            f"{change.facts.changed:,}",
            f"{change.facts.max_abs:.3g}",
        )
        for change in rest
    ]
    if rows:
        yield Table(
            header=("tensor", "values", "rel. L2", "values changed", "largest |B - A|"),
            rows=tuple(rows),
            right=frozenset({2, 3, 4}),
        )


def value_verdict(changes: ValueComparison) -> str:
    """Return what the verdict says of the values."""
    changed = sum(row.changed for row in changes.components)
    broken = ", or to NaN or infinity" * any(row.broken for row in changes.components)
    tolerance = f" by more than {percent(changes.tolerance)}{broken}" if changes.tolerance else ""
    if changed:
        moved = (
            f", frozen ones among them ({', '.join(row.title for row in changes.moved)})"
            if changes.moved
            else ""
        )
        return f"values of {count(changed, 'tensor')} changed{tolerance}{moved}"
    compared = sum(row.tensors for row in changes.components)
    if not compared:
        return "no tensors had values to compare"
    return f"no values changed{tolerance} ({count(compared, 'tensor')})"


def value_blocks(values: ValueSummary) -> Iterator[Block]:
    """Yield the values of one checkpoint, layer by layer under their component."""
    yield Heading(text="values")
    rows = []
    for component in values.components:
        layers = [layer for layer in values.layers if layer.component == component.component]
        rows += [_values(component.title, component)]
        rows += (
            [_values(f"  {_layer(layer)}", layer) for layer in layers] if len(layers) > 1 else []
        )
    header: tuple[str, ...] = (
        "component",
        "tensors",
        "min",
        "max",
        "rms",
        "zeros",
        "spare bits",
        "NaN",
        "infinite",
    )
    if not any(row.nan or row.infinite for row in values.components):
        header, rows = header[:-2], [row[:-2] for row in rows]
        yield Line(text="no NaN and no infinity", mark=Status.GOOD)
    yield Table(header=header, rows=tuple(rows), right=frozenset(range(1, len(header))))
    yield Line(
        text="spare bits: last bits of the mantissa that are zero in every value; F32 with 16 fits BF16"
    )


def _values(title: str, row: LayerValues) -> tuple[str, ...]:
    return (
        title,
        f"{row.tensors:,}",
        f"{row.low:.3g}",
        f"{row.high:.3g}",
        f"{row.rms:.3g}",
        percent(row.zeros / row.elements) if row.zeros else "none",
        str(row.zero_low_bits) if row.zero_low_bits >= 0 else "",
        f"{row.nan:,}",
        f"{row.infinite:,}",
    )
