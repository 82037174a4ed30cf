"""Sizes that config.json does not have: what most of the tensors have.

Of the model's own tensors first, then of a teacher's copy under another prefix.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from functools import cached_property
from typing import TYPE_CHECKING

from ckpt_tools.checkpoint.names import is_index, unwrapped
from ckpt_tools.families.family import TEACHER_PREFIXES
from ckpt_tools.families.template import folded

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ckpt_tools.families.expression import Value
    from ckpt_tools.families.family_file import FamilyFile, Field

_LARGEST = 1 << 32
_MOST = 512
_DIGITS = 5
"""A number of up to four digits, and a dot."""

type Shapes = Mapping[str, tuple[int, ...]]


class NotInferred(Exception):
    """A size that no tensor shows. The message is its field."""


class Inference:
    """What a checkpoint's tensors tell of a family's sizes; computed when first asked."""

    def __init__(self, file: FamilyFile, shapes: Shapes) -> None:
        self._file, self._shapes = file, shapes

    def of(self, field: Field) -> Value:
        """Return the value of a field, else its default. Raises NotInferred."""
        owners = zip(self._owned, self._votes, strict=True)
        for shapes, votes in (next(owners),) if field.own else owners:
            found = _indices(field.under, shapes) if field.under else votes.get(field.name)
            if found:
                return found
        if field.default is None:
            raise NotInferred(field.name)
        return field.default

    @cached_property
    def _owned(self) -> tuple[Shapes, Shapes]:
        """The shapes of the model's own tensors and of a teacher's, by the model's names."""
        own: dict[str, tuple[int, ...]] = {}
        teachers: dict[str, tuple[int, ...]] = {}
        for tensor, shape in self._shapes.items():
            name = unwrapped(tensor)
            if name.startswith(TEACHER_PREFIXES):
                prefix = next(prefix for prefix in TEACHER_PREFIXES if name.startswith(prefix))
                teachers.setdefault(name.removeprefix(prefix), shape)
            else:
                own.setdefault(name, shape)
        return own, teachers

    @cached_property
    def _votes(self) -> tuple[dict[str, int], dict[str, int]]:
        own, teachers = self._owned
        axes = _axes(self._file)
        return _winners(axes, own), _winners(axes, teachers)


def _axes(file: FamilyFile) -> dict[str, tuple[str, ...]]:
    """Return the inferred field that each axis of a tensor is, by its name without numbers.

    "" where it is none, or not the same one in all tensors of that name.
    """
    inferred = {field.name for field in file.fields.values() if field.infers}
    found: dict[str, tuple[str, ...]] = {}
    for block in file.blocks:
        for template, sizes in block.shapes:
            named = tuple(size.text if size.text in inferred else "" for size in sizes)
            before = found.setdefault(template.folded, named)
            if before != named:
                pairs = zip(before, named, strict=False)
                found[template.folded] = tuple(a if a == b else "" for a, b in pairs)
    return found


def _winners(axes: Mapping[str, tuple[str, ...]], shapes: Shapes) -> dict[str, int]:
    """Return the most frequent size of each field; of two equally frequent, the larger."""
    votes: defaultdict[str, Counter[int]] = defaultdict(Counter)
    for tensor, shape in shapes.items():
        fields = axes.get(folded(tensor), ())
        if len(fields) == len(shape):
            for field, size in zip(fields, shape, strict=True):
                if field and 0 < size < _LARGEST:
                    votes[field][size] += 1
    return {
        field: max(counts, key=lambda size: (counts[size], size)) for field, counts in votes.items()
    }


def _indices(prefix: str, shapes: Shapes) -> int:
    """Return how many numbers there are under a prefix, without strays far above the others."""
    start = len(prefix)
    parts = {
        name[start : start + _DIGITS].partition(".") for name in shapes if name.startswith(prefix)
    }
    numbers = {int(part) for part, dot, _ in parts if dot and is_index(part)}
    # A layer far above the others is a stray, not the top of a model.
    most = max((number for number in numbers if number < 2 * len(numbers)), default=-1)
    return min(most + 1, _MOST)
