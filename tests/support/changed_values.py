"""A comparison of values as `ckpt diff --values` makes one, for pages that show it.

Parts of a model by layers, frozen ones and changed ones.
"""

from __future__ import annotations

from math import inf, isinf

from ckpt_tools.values.model import LayerChange, ValueComparison

LAYERS = 16


def layer(
    component: str, number: str, high: float, *, title: str = "", trains: bool | None = True
) -> LayerChange:
    """Return how nine tensors of one layer changed, half of them where any did.

    Some elements are infinite where the change is.
    """
    changed = 5 if high else 0
    return LayerChange(
        component,
        title or component,
        number,
        trains,
        9,
        9 - changed,
        0,
        0,
        high / 3,
        high,
        high / 50,
        3 * isinf(high),
        high,
    )


def values(*rows: LayerChange) -> ValueComparison:
    """Return a comparison with these layers, each its own component too.

    Nothing here looks at components.
    """
    return ValueComparison(tolerance=0.0, tensors=(), layers=rows, components=rows)


CHANGES = values(
    *(
        layer("vision", str(number), 0, trains=False, title="VLM vision tower")
        for number in range(12)
    ),
    layer("vision", "other", 0, trains=False, title="VLM vision tower"),
    *(
        layer("text", str(number), 0.00004 * (number == 3), trains=False, title="VLM text model")
        for number in range(LAYERS)
    ),
    layer("text", "other", 0, trains=False, title="VLM text model"),
    *(
        layer("expert", str(number), 0.0005 * 1.7**number, title="action expert")
        for number in range(LAYERS)
    ),
    layer("expert", "other", inf, title="action expert"),
    layer("projections", "other", 0.12, title="state and action projections"),
)
