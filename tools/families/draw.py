"""Draws values for a recipe's fields, the same ones on every machine, and reads them back."""

from __future__ import annotations

import random
from itertools import product
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tools.families.recipe import Recipe

_FEWEST = 32
_MOST = 96
_TRIES = 200


def draws(recipe: Recipe, seed: str, count: int) -> Iterator[dict[str, object]]:
    """Yield values for all fields, `count` times: choices in every combination, as far as it goes.

    Numbers of one model differ from each other, if the values to draw from allow it.
    """
    source = random.Random(f"{recipe.library}/{recipe.key}/{seed}")  # noqa: S311 - no secret
    choices = [field for field in recipe.fields if field.choice]
    combinations: list[tuple[object, ...]] = []
    for _ in range(count):
        if not combinations:
            combinations = list(product(*(field.draw for field in choices)))
            source.shuffle(combinations)
        chosen = zip((field.name for field in choices), combinations.pop(), strict=True)
        yield {**_numbers(recipe, source), **dict(chosen)}


def enough(recipe: Recipe) -> int:
    """Return how many models are built to find formulas."""
    if recipe.samples:
        return recipe.samples
    combinations = 1
    for field in recipe.fields:
        combinations *= len(field.draw) if field.choice else 1
    return max(_FEWEST, min(_MOST, 2 * combinations))


def _numbers(recipe: Recipe, source: random.Random) -> dict[str, object]:
    drawn: dict[str, object] = {}
    for _ in range(_TRIES):
        drawn = {f.name: source.choice(f.draw) for f in recipe.fields if not f.choice}
        numbers = [value for value in drawn.values() if isinstance(value, int) and value]
        if len(set(numbers)) == len(numbers):
            break
    return drawn
