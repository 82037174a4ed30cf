"""Tensor values as blocks: changes between two checkpoints, largest first; values of one."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ckpt_tools.report.blocks import Heading, Line, Status, Table
from ckpt_tools.report.charts import change_size
from ckpt_tools.text import count, percent, printable
from ckpt_tools.values.model import layer_title

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
"""Layers of a component that are listed without --full."""


def change_blocks(changes: ValueComparison, *, full: bool) -> Iterator[Block]:
    """Yield what changed in the tensor values.

    `full` lists every layer, and every tensor that is not identical.
    """
    if not (changes.components or changes.uncompared):
        return
    yield Heading(text="Tensor values")
    for row in sorted(
        changes.components, key=lambda row: (not row.moved, not row.changed, -row.rel_l2)
    ):
        layers = [layer for layer in changes.layers if layer.component == row.component]
        yield Line(
            text=_component(row), mark=_mark(row), details=tuple(_details(row, layers, full=full))
        )
    if changes.uncompared:
        uncompared = count(changes.uncompared, "tensor")
        yield Line(text=f"{uncompared} without a counterpart of the same shape; not compared")
    if full:
        yield from _tensors(changes.tensors)


def _mark(row: LayerChange) -> Status:
    if row.moved or row.broken:
        return Status.BAD
    return Status.CHANGE if row.changed else Status.GOOD


def _component(row: LayerChange) -> str:
    """Return a sentence on a component."""
    if row.identical == row.tensors:
        return f"{row.title}: identical ({row.tensors:,} of {row.tensors:,})"
    if not row.changed:
        return f"{row.title}: unchanged ({', '.join(_counts(row))})"
    changed = "frozen but changed" if row.moved else "changed"
    return (
        f"{row.title}: {changed} ({row.changed:,} of {row.tensors:,}), rel. L2 {change_size(row)},"
        f" max |B - A| {row.max_abs:.3g}"
    )


def _counts(row: LayerChange) -> Iterator[str]:
    kinds = (
        (row.identical, "identical"),
        (row.equal, "equal values, different bit patterns"),
        (
            row.close,
            "within the tolerance"
            if row.changed
            else f"within the tolerance, rel. L2 {change_size(row)}",
        ),
    )
    yield from (f"{number:,} of {row.tensors:,} {words}" for number, words in kinds if number)


def _details(row: LayerChange, layers: Sequence[LayerChange], *, full: bool) -> Iterator[str]:
    if row.moved:
        yield "B's config freezes this component, so training did not change it"
    if row.broken:
        yield f"{count(row.broken, 'value')} NaN or infinite on one side only"
    if row.changed and row.changed < row.tensors and (row.identical or row.equal or row.close):
        yield f"unchanged: {', '.join(_counts(row))}"
    moved = sorted((layer for layer in layers if layer.changed), key=lambda layer: -layer.rel_l2)
    if len(layers) > 1:
        shown = moved if full else moved[:_SHOWN]
        yield from (
            f"{layer_title(layer.layer)}: {layer.changed:,} of {layer.tensors:,},"
            f" rel. L2 {change_size(layer)}"
            for layer in shown
        )
        if len(moved) > len(shown):
            rest = len(moved) - len(shown)
            yield f"… and {count(rest, 'more layer')} with smaller changes (--full lists them)"


def _tensors(changes: Sequence[TensorChange]) -> Iterator[Block]:
    """Yield a table of the tensors that are not identical, the most changed first."""
    rest = sorted(
        (change for change in changes if not change.identical),
        key=lambda change: (-change.facts.rel_l2, change.b.name),
    )
    rows = [
        (
            change.sameness.value,
            percent(change.facts.rel_l2),
            f"{change.facts.changed:,}",
            f"{change.facts.max_abs:.3g}",
            printable(change.b.name),
        )
        for change in rest
    ]
    if rows:
        yield Table(
            header=("status", "rel. L2", "changed", "max |B - A|", "tensor"),
            rows=tuple(rows),
            right=frozenset({1, 2, 3}),
        )


def value_verdict(changes: ValueComparison) -> str:
    """Return the verdict on the tensor values."""
    changed = sum(row.changed for row in changes.components)
    broken = ", or to NaN or infinity" * any(row.broken for row in changes.components)
    tolerance = f" by more than {percent(changes.tolerance)}{broken}" if changes.tolerance else ""
    if changed:
        moved = (
            f", including frozen ones ({', '.join(row.title for row in changes.moved)})"
            if changes.moved
            else ""
        )
        return f"values of {count(changed, 'tensor')} changed{tolerance}{moved}"
    compared = sum(row.tensors for row in changes.components)
    if not compared:
        return "no tensor values to compare"
    return f"no tensor values changed{tolerance} ({count(compared, 'tensor')})"


def value_blocks(values: ValueSummary) -> Iterator[Block]:
    """Yield the tensor values of one checkpoint, layer by layer under their component."""
    yield Heading(text="Tensor values")
    rows = []
    for component in values.components:
        layers = [layer for layer in values.layers if layer.component == component.component]
        rows += [_values(component.title, component)]
        rows += (
            [_values(f"  {layer_title(layer.layer)}", layer) for layer in layers]
            if len(layers) > 1
            else []
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
        yield Line(text="no NaN or infinity", mark=Status.GOOD)
    yield Table(header=header, rows=tuple(rows), right=frozenset(range(1, len(header))))
    yield Line(
        text=(
            "spare bits: trailing mantissa bits that are zero in every value; F32 with 16 fits BF16"
        )
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
