"""Draws values for a recipe's fields, the same ones on every machine.

The last number or list of every field is held back: formulas are never made from it, and every
second draw of what confirms them has it. A formula that fits the other values alone is refuted.
"""

from __future__ import annotations

import random
from itertools import product
from typing import TYPE_CHECKING, cast

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from tools.families.recipe import Field, Recipe

_FEWEST = 24
_MOST = 64
_TRIES = 200
_SEEN = 2
"""How many values of a field are left at least when one is held back."""

type Values = tuple[object, ...]
type Pools = tuple[Sequence[object], ...]
"""Parts of a field's values, of which each is drawn from equally often."""


def draws(
    recipe: Recipe, seed: str, count: int, *, fresh: bool = True
) -> Iterator[dict[str, object]]:
    """Yield values for all fields, `count` times: choices in every combination, as far as it goes.

    Numbers of one model differ from each other, if the values to draw from allow it. Values that
    are held back are drawn only if `fresh`.
    """
    source = random.Random(f"{recipe.library}/{recipe.key}/{seed}")  # noqa: S311 - no secret
    choices = [(field, _kinds(field)) for field in recipe.fields if len(_kinds(field)) > 1]
    pools = {field.name: _pools(field, fresh=fresh) for field in recipe.fields if field.draw}
    combinations: list[Values] = []
    for _ in range(count):
        if not combinations:
            combinations = list(product(*(kinds for _, kinds in choices)))
            source.shuffle(combinations)
        chosen = dict(zip((field.name for field, _ in choices), combinations.pop(), strict=True))
        yield _numbers(recipe, source, pools, cast("dict[str, Values]", chosen))


def held_back(field: Field) -> Values:
    """Return the last number or list of a field in config.json, if enough others are left."""
    if field.choice or not field.at:
        return ()
    sizes = [value for value in field.draw if _is_size(value)]
    if len({repr(value) for value in sizes}) <= _SEEN:
        return ()
    return (sizes[-1],)


def _is_size(value: object) -> bool:
    return bool(value) and isinstance(value, int | float | list) and not isinstance(value, bool)


def _pools(field: Field, *, fresh: bool) -> Pools:
    """Return the values to draw from: the usual ones, and those held back."""
    held = held_back(field)
    if not held:
        return (field.draw,)
    usual = [value for value in field.draw if value not in held]
    return (usual, held) if fresh else (usual,)


def enough(recipe: Recipe) -> int:
    """Return how many models are built to find formulas."""
    if recipe.samples:
        return recipe.samples
    combinations = 1
    for field in recipe.fields:
        combinations *= len(_kinds(field))
    return max(_FEWEST, min(_MOST, 2 * combinations))


def _kinds(field: Field) -> tuple[Values, ...]:
    """Return the values to draw from, parted by which tensors there are: zero, and others."""
    if field.choice:
        return tuple((value,) for value in field.draw)
    zero = tuple(value for value in field.draw if value == 0 and value is not False)
    others = tuple(value for value in field.draw if value not in zero)
    return tuple(filter(None, (zero, others)))


def _numbers(
    recipe: Recipe,
    source: random.Random,
    pools: Mapping[str, Pools],
    chosen: Mapping[str, Values],
) -> dict[str, object]:
    fixed = {field.name for field in recipe.fields if field.choice}
    drawn: dict[str, object] = {}
    for _ in range(_TRIES):
        for name, parts in pools.items():
            kind = chosen.get(name)
            left = parts if kind is None else [[v for v in part if v in kind] for part in parts]
            drawn[name] = source.choice(source.choice([part for part in left if part]))
        numbers = [v for name, v in drawn.items() if name not in fixed and isinstance(v, int) and v]
        if len(set(numbers)) == len(numbers):
            break
    return drawn
