"""Compares what a family's file expects, through the tool itself, with real models."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, cast

from ckpt_tools.checkpoint.dtype import DTYPES
from ckpt_tools.families.expected import Typed, expected
from ckpt_tools.families.family import Unknown
from ckpt_tools.families.family_file import read
from tools.families.draw import draws

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from tools.families.recipe import Recipe, Sample

FRESH = 20
"""How many models a family's file is confirmed with, besides those it was made from."""


def confirm(recipe: Recipe, content: Mapping[str, object], count: int = FRESH) -> Iterator[str]:
    """Yield every disagreement of a file with `count` models that it was not made from.

    Then with models of the library's defaults, whose config.json lacks the keys: of all fields
    together, and of each alone where the library accepts it beside the other draws.
    """
    for drawn in draws(recipe, "confirm", count):
        yield from disagreements(content, recipe.build(drawn))
    fields = [
        one
        for one in recipe.fields
        if one.draw and one.default is not None and one.at and not one.of
    ]
    for number, drawn in enumerate(draws(recipe, "defaults", len(fields) + 1 if fields else 0)):
        left_out = fields[number - 1 : number] or fields
        for field in left_out:
            del drawn[field.name]
        try:
            sample = recipe.build(drawn)
        except Exception:  # each library has its own way to reject a config
            if number == 0:
                raise
            continue
        config = sample.config
        for field in left_out:
            config = without(config, field.at)
        about = f"without {', '.join(field.at for field in left_out)}: "
        yield from disagreements(content, sample._replace(config=config), about)


def disagreements(content: Mapping[str, object], sample: Sample, about: str = "") -> Iterator[str]:
    """Yield every difference between what the tool expects and one real model."""
    tensors = {n: Typed(DTYPES[dtype], shape) for n, (dtype, shape) in sample.tensors.items()}
    found = expected(read(content), sample.config, tensors)
    if isinstance(found, Unknown):
        yield f"{about}unknown: {found.reason}"
        return
    ties = {frozenset(group) for group in found.ties}
    if ties - _alternatives(content) != {frozenset(group) for group in sample.ties}:
        yield f"{about}ties: {sorted(map(sorted, ties))} expected, {sample.ties} seen"
    shared = {name for group in ties for name in group if group & tensors.keys()}
    names_only = content["state"] == "names"
    for name in dict.fromkeys((*tensors, *found.tensors)):
        seen, wanted = tensors.get(name), found.tensors.get(name) or found.optional.get(name)
        if wanted is None:
            yield f"{about}{name}: not expected"
        elif seen is None:
            if name not in shared:
                yield f"{about}{name}: expected, and not there"
        elif seen.dtype != wanted.dtype or not (names_only or seen.shape == wanted.shape):
            yield (
                f"{about}{name}: {wanted.dtype.name} {wanted.shape} expected, "
                f"{seen.dtype.name} {seen.shape} seen"
            )


def _alternatives(content: Mapping[str, object]) -> set[frozenset[str]]:
    """Return the groups of names that no writer ties: older files have another one of them."""
    ties = cast("list[dict[str, list[str]]]", content.get("ties", []))
    return {frozenset(tie["names"]) for tie in ties if "kept" not in tie}


def without(config: Mapping[str, object], pointer: str) -> dict[str, object]:
    """Return a config without the key at a JSON pointer."""
    copy: dict[str, object] = json.loads(json.dumps(config))
    *parents, last = pointer.removeprefix("/").split("/")
    inner: object = copy
    for key in parents:
        inner = inner.get(key) if isinstance(inner, dict) else None
    if isinstance(inner, dict):
        inner.pop(last, None)
    return copy
