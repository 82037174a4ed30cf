"""Draws values for a recipe's fields, the same ones on every machine, and reads them back."""

from __future__ import annotations

import random
from itertools import product
from typing import TYPE_CHECKING, cast

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from tools.families.recipe import Field, Recipe

_FEWEST = 24
_MOST = 64
_TRIES = 200


def draws(recipe: Recipe, seed: str, count: int) -> Iterator[dict[str, object]]:
    """Yield values for all fields, `count` times: choices in every combination, as far as it goes.

    Numbers of one model differ from each other, if the values to draw from allow it.
    """
    source = random.Random(f"{recipe.library}/{recipe.key}/{seed}")  # noqa: S311 - no secret
    choices = [(field, _kinds(field)) for field in recipe.fields if len(_kinds(field)) > 1]
    combinations: list[tuple[object, ...]] = []
    for _ in range(count):
        if not combinations:
            combinations = list(product(*(kinds for _, kinds in choices)))
            source.shuffle(combinations)
        chosen = dict(zip((field.name for field, _ in choices), combinations.pop(), strict=True))
        yield _numbers(recipe, source, cast("dict[str, tuple[object, ...]]", chosen))


def enough(recipe: Recipe) -> int:
    """Return how many models are built to find formulas."""
    if recipe.samples:
        return recipe.samples
    combinations = 1
    for field in recipe.fields:
        combinations *= len(_kinds(field))
    return max(_FEWEST, min(_MOST, 2 * combinations))


def _kinds(field: Field) -> tuple[tuple[object, ...], ...]:
    """Return the values to draw from, parted by which tensors there are: zero, and others."""
    if field.choice:
        return tuple((value,) for value in field.draw)
    zero = tuple(value for value in field.draw if value == 0 and value is not False)
    others = tuple(value for value in field.draw if value not in zero)
    return tuple(filter(None, (zero, others)))


def _numbers(
    recipe: Recipe, source: random.Random, chosen: Mapping[str, tuple[object, ...]]
) -> dict[str, object]:
    drawn: dict[str, object] = {}
    for _ in range(_TRIES):
        drawn = {
            field.name: source.choice(chosen.get(field.name, field.draw))
            for field in recipe.fields
            if field.draw
        }
        fixed = {field.name for field in recipe.fields if field.choice}
        numbers = [v for name, v in drawn.items() if name not in fixed and isinstance(v, int) and v]
        if len(set(numbers)) == len(numbers):
            break
    return drawn
