"""Tensor values and their changes by component and layer.

The same facts always give the same rows in the same order.
"""

from __future__ import annotations

from collections import defaultdict
from itertools import takewhile
from math import hypot, inf, sqrt
from typing import TYPE_CHECKING

from ckpt_tools.checkpoint.names import is_index, natural_key
from ckpt_tools.values.model import (
    OTHER,
    LayerChange,
    LayerValues,
    Measurement,
    PairFacts,
    Sameness,
    TensorChange,
    ValueComparison,
    ValueSummary,
    rel_l2_together,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from ckpt_tools.checkpoint.model import Tensor
    from ckpt_tools.families.family import Component, Family


def layers_of(names: Sequence[str]) -> list[str]:
    """Return the layer of each tensor of a component: the first whole number in its name.

    Where the numbers of several lists would be the same, what tells the lists apart precedes them:
    `layer1.0` and `layer2.0`, of one ResNet.
    """
    stems = [_stem(name) for name in names]
    numbered = [stem for stem in stems if stem]
    common = sum(1 for _ in takewhile(lambda parts: len(set(parts)) == 1, zip(*numbered)))  # noqa: B905 - up to the shortest
    several = len({tuple(stem[:-1]) for stem in numbered}) > 1
    return [
        ".".join(stem[min(common, len(stem) - 1) if several else -1 :]) if stem else OTHER
        for stem in stems
    ]


def _stem(name: str) -> list[str]:
    """Return the segments of a name up to the first whole number, that included; none without."""
    segments = name.split(".")
    place = next((place for place, part in enumerate(segments) if is_index(part)), -1)
    return segments[: place + 1]


def value_comparison(
    measured: Iterable[tuple[Tensor, Tensor, PairFacts]],
    family: Family,
    config: Mapping[str, object],
    *,
    tolerance: float = 0.0,
    uncompared: int = 0,
) -> ValueComparison:
    """Return the changes by the family's components.

    `config` is B's, the trained side's. `tolerance` is a relative L2 norm.
    """
    found: defaultdict[str, list[tuple[Tensor, Tensor, PairFacts]]] = defaultdict(list)
    for a, b, facts in measured:
        found[family.component(b.name)].append((a, b, facts))
    members = {
        part: [
            TensorChange(a, b, part, layer, sameness(a, b, facts, tolerance), facts)
            for (a, b, facts), layer in zip(
                rows, layers_of([b.name for _, b, _ in rows]), strict=True
            )
        ]
        for part, rows in found.items()
    }
    parts = [component for component in family.components if component.key in members]
    return ValueComparison(
        tolerance=tolerance,
        tensors=tuple(change for component in parts for change in members[component.key]),
        layers=tuple(
            row
            for component in parts
            for row in _layers(
                component, members[component.key], family.trains(component.key, config)
            )
        ),
        components=tuple(
            _row(component, "", members[component.key], family.trains(component.key, config))
            for component in parts
        ),
        uncompared=uncompared,
    )


def sameness(a: Tensor, b: Tensor, facts: PairFacts, tolerance: float) -> Sameness:
    """Return how equal two tensors are.

    One with NaN or infinity on one side only has changed, whatever the tolerance.
    """
    if facts.same_bytes and a.dtype is b.dtype:
        return Sameness.IDENTICAL
    if not facts.changed:
        return Sameness.EQUAL
    return (
        Sameness.CLOSE if 0 < tolerance >= facts.rel_l2 and not facts.broken else Sameness.CHANGED
    )


def _layers(
    component: Component,
    changes: Sequence[TensorChange],
    trains: bool | None,  # noqa: FBT001 - as in the record
) -> Iterable[LayerChange]:
    """Yield a row per layer, in order, tensors outside numbered layers last."""
    layers: defaultdict[str, list[TensorChange]] = defaultdict(list)
    for change in changes:
        layers[change.layer].append(change)
    for layer in sorted(layers, key=_in_order):
        yield _row(component, layer, layers[layer], trains)


def _in_order(layer: str) -> tuple[bool, object]:
    return (layer == OTHER, natural_key(layer))


def _row(
    component: Component,
    layer: str,
    changes: Sequence[TensorChange],
    trains: bool | None,  # noqa: FBT001 - as in the record
) -> LayerChange:
    counts = {kind: sum(change.sameness is kind for change in changes) for kind in Sameness}
    changed, close = (
        [change.facts for change in changes if change.sameness is kind]
        for kind in (Sameness.CHANGED, Sameness.CLOSE)
    )
    different = changed or close
    return LayerChange(
        component=component.key,
        title=component.title,
        layer=layer,
        trains=trains,
        tensors=len(changes),
        identical=counts[Sameness.IDENTICAL],
        equal=counts[Sameness.EQUAL],
        close=counts[Sameness.CLOSE],
        low=min((facts.rel_l2 for facts in different), default=0.0),
        high=max((facts.rel_l2 for facts in different), default=0.0),
        max_abs=max((facts.max_abs for facts in different), default=0.0),
        broken=sum(facts.broken for facts in different),
        rel_l2=rel_l2_together(different),
    )


def value_summary(measured: Sequence[Measurement], family: Family) -> ValueSummary:
    """Return measurements by tensor, layer and component."""
    found: defaultdict[str, list[Measurement]] = defaultdict(list)
    for tensor in measured:
        found[family.component(tensor.name)].append(tensor)
    members: dict[str, defaultdict[str, list[Measurement]]] = {}
    for part, rows in found.items():
        members[part] = defaultdict(list)
        for tensor, layer in zip(rows, layers_of([row.name for row in rows]), strict=True):
            members[part][layer].append(tensor)
    parts = [component for component in family.components if component.key in members]
    return ValueSummary(
        tensors=tuple(measured),
        layers=tuple(
            _values(part, layer, members[part.key][layer])
            for part in parts
            for layer in sorted(members[part.key], key=_in_order)
        ),
        components=tuple(_values(part, "", found[part.key]) for part in parts),
    )


def _rms(tensors: Sequence[Measurement], finite: int) -> float:
    """Return the root of the mean of `finite` squares; it is a double where their sum is not."""
    norm = hypot(*(tensor.l2 for tensor in tensors))
    if norm < inf:
        return norm / sqrt(finite)
    return hypot(*(tensor.rms * sqrt(tensor.finite / finite) for tensor in tensors))


def _values(component: Component, layer: str, tensors: Sequence[Measurement]) -> LayerValues:
    finite = sum(tensor.finite for tensor in tensors)
    return LayerValues(
        component=component.key,
        title=component.title,
        layer=layer,
        tensors=len(tensors),
        elements=sum(tensor.elements for tensor in tensors),
        nan=sum(tensor.nan for tensor in tensors),
        infinite=sum(tensor.infinite for tensor in tensors),
        low=min((tensor.low for tensor in tensors if tensor.finite), default=0.0),
        high=max((tensor.high for tensor in tensors if tensor.finite), default=0.0),
        rms=_rms(tensors, finite) if finite else 0.0,
        zeros=sum(tensor.zeros for tensor in tensors),
        zero_low_bits=min(
            (tensor.zero_low_bits for tensor in tensors if tensor.zero_low_bits >= 0), default=-1
        ),
    )
