"""From a recipe to a family's file: builds models, solves, confirms."""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING, NamedTuple

from ckpt_tools.families.expression import Wrong
from ckpt_tools.families.family_file import read
from ckpt_tools.families.inference import Inference
from ckpt_tools.families.values import Values
from tools.families.confirm import FRESH, confirm
from tools.families.draw import draws, enough
from tools.families.solve import Misfit, Solver
from tools.families.write import document, field_entry

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from tools.families.recipe import Recipe, Sample

_DISTRIBUTIONS = {
    "lerobot": ("lerobot", "transformers", "torch"),
    "transformers": ("transformers", "torch"),
    "diffusers": ("diffusers", "torch"),
    "timm": ("timm", "torch"),
}


class Generated(NamedTuple):
    """A family's file, how it came about, and what in it disagrees with fresh models.

    `misfit` says why only names are known, "" where shapes are.
    """

    content: dict[str, object]
    samples: int
    fresh: int
    misfit: str
    disagreements: tuple[str, ...]


def generate(recipe: Recipe, fresh: int = FRESH) -> Generated:
    """Build a family's file, and compare it with `fresh` more models.

    A recipe without a field of config.json has all of the file in `extra`: nothing is solved.
    """
    if not any(field.at for field in recipe.fields):
        content = document(recipe, versions(recipe.library), (), ())
        return Generated(content, 0, fresh, "", tuple(confirm(recipe, content, fresh)))
    samples = [recipe.build(drawn) for drawn in draws(recipe, "solve", enough(recipe), fresh=False)]
    content, misfit = solved(recipe, samples)
    return Generated(content, len(samples), fresh, misfit, tuple(confirm(recipe, content, fresh)))


def solved(recipe: Recipe, samples: Sequence[Sample]) -> tuple[dict[str, object], str]:
    """Return a family's file, and why it has no shapes. Raises Misfit where names do not fit."""
    values = [values_of(recipe, sample) for sample in samples]
    choices = frozenset(field.name for field in recipe.fields if field.choice)
    misfit = ""
    for names_only in (False, True):
        solver = Solver(samples, values, recipe.hints, choices, names_only=names_only)
        try:
            found = solver.tensors()
            break
        except Misfit as error:
            if names_only:
                raise
            misfit = str(error)
    content = document(recipe, versions(recipe.library), found, solver.ties())
    if misfit:
        content["state"] = "names"
    return content, misfit


def values_of(recipe: Recipe, sample: Sample) -> dict[str, object]:
    """Return the values of a recipe's fields and derived values, as the tool reads them."""
    fields: dict[str, object] = {f.name: field_entry(f) for f in recipe.fields if f.at}
    fields |= {name: {"is": expression} for name, expression in recipe.derived.items()}
    file = read({"family": recipe.key, "library": recipe.library, "fields": fields})
    values = Values(file, sample.config, Inference(file, {}))
    found: dict[str, object] = {}
    for name in fields:
        try:
            found[name] = values[name]
        except Wrong:
            found[name] = None
    return found


def versions(library: str) -> Mapping[str, str]:
    """Return the versions of what a library's families are made with."""
    found = {}
    for name in _DISTRIBUTIONS[library]:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found
