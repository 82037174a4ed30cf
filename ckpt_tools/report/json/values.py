"""Values of tensors, and what changed in them, as JSON.

Members of the documents in `report/as_json.py`. null is what no number says: relative to zero.
"""

from __future__ import annotations

from math import isfinite
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ckpt_tools.values.model import (
        LayerChange,
        LayerValues,
        Measurement,
        TensorChange,
        ValueComparison,
    )

type JsonDict = dict[str, object]


def changes_entry(changes: ValueComparison) -> JsonDict:
    """Return what changed, as `tensor_values` of `schemas/diff.schema.json` has it."""
    return {
        "same": changes.same,
        "tolerance": changes.tolerance,
        "uncompared": changes.uncompared,
        "components": [_row(row) for row in changes.components],
        "layers": [_row(row) for row in changes.layers],
        "tensors": [_tensor(change) for change in changes.tensors],
    }


def _row(row: LayerChange) -> JsonDict:
    return {
        "component": row.component,
        "title": row.title,
        "layer": row.layer,
        "trains": row.trains,
        "moved": row.moved,
        "tensors": row.tensors,
        "identical": row.identical,
        "equal": row.equal,
        "close": row.close,
        "changed": row.changed,
        "rel_l2": _number(row.rel_l2),
        "rel_l2_low": _number(row.low),
        "rel_l2_high": _number(row.high),
        "max_abs": _number(row.max_abs),
        "broken": row.broken,
    }


def _tensor(change: TensorChange) -> JsonDict:
    facts = change.facts
    return {
        "name_a": change.a.name,
        "name_b": change.b.name,
        "component": change.component,
        "layer": change.layer,
        "sameness": change.sameness,
        "elements": facts.elements,
        "changed": facts.changed,
        "broken": facts.broken,
        "max_abs": _number(facts.max_abs),
        "rel_l2": _number(facts.rel_l2),
        "cosine": facts.cosine,
        "l2_a": None if facts.same_bytes else _number(facts.l2_a),
        "l2_b": None if facts.same_bytes else _number(facts.l2_b),
        "l2_change": _number(facts.l2_change),
    }


def measured_entry(measured: Measurement) -> JsonDict:
    """Return what was measured of one tensor, as `schemas/show.schema.json` has it."""
    return {
        "blake3": measured.digest,
        "elements": measured.elements,
        "nan": measured.nan,
        "infinite": measured.infinite,
        "min": _number(measured.low) if measured.finite else None,
        "max": _number(measured.high) if measured.finite else None,
        "mean": _number(measured.mean) if measured.finite else None,
        "l2": _number(measured.l2),
        "zeros": measured.zeros,
        "zero_low_bits": _bits(measured.zero_low_bits),
    }


def folded_entry(row: LayerValues) -> JsonDict:
    """Return what was measured of a layer or a component."""
    return {
        "component": row.component,
        "title": row.title,
        "layer": row.layer,
        "tensors": row.tensors,
        "elements": row.elements,
        "nan": row.nan,
        "infinite": row.infinite,
        "min": _number(row.low),
        "max": _number(row.high),
        "rms": _number(row.rms),
        "zeros": row.zeros,
        "zero_low_bits": _bits(row.zero_low_bits),
    }


def _number(value: float) -> float | None:
    return value if isfinite(value) else None


def _bits(count: int) -> int | None:
    return count if count >= 0 else None
