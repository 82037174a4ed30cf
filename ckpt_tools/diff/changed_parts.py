"""Which parts of a model changed and which did not, in as few words as the names allow."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING, NamedTuple

from ckpt_tools.checkpoint.names import fold, is_index, natural_key, ranges
from ckpt_tools.families.family import GENERIC
from ckpt_tools.text import printable

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from ckpt_tools.families.family import Family
    from ckpt_tools.values.model import TensorChange

_MOST = 6
"""Parts of an unknown model that are listed."""


UNRELATED_BELOW = 0.2
"""The cosine of unrelated matrices is within 0.1 of 0, that of long training is above 0.4."""


class ChangedPart(NamedTuple):
    """A part of a model: all of its tensors changed, or some, or none.

    `share` is that of its parameters that are in changed tensors, `cosine` the median over its
    changed matrices that were not zero, None without any.
    """

    text: str
    changed: int
    tensors: int
    share: float
    cosine: float | None

    @property
    def is_replaced(self) -> bool:
        """Whether what changed has nothing in common with what was there."""
        return self.cosine is not None and abs(self.cosine) < UNRELATED_BELOW


def changed_parts(tensors: Sequence[TensorChange], family: Family) -> tuple[ChangedPart, ...]:
    """Return the family's components with what changed in them; of no known family, name groups."""
    if family is GENERIC or len(family.components) == 1:
        return tuple(_by_name(tensors))
    members: defaultdict[str, list[TensorChange]] = defaultdict(list)
    for change in tensors:
        members[change.component].append(change)
    return tuple(
        _part(component.short, members[component.key])
        for component in family.components
        if component.key in members
    )


def _part(title: str, tensors: Sequence[TensorChange]) -> ChangedPart:
    moved = [change for change in tensors if change.changed]
    whole = sum(change.facts.elements for change in tensors)
    share = sum(change.facts.elements for change in moved) / whole if whole else 0.0
    text = title if len(moved) in (0, len(tensors)) else f"{title} ({_which(tensors)})"
    return ChangedPart(text, len(moved), len(tensors), share, median_cosine(moved))


def median_cosine(moved: Sequence[TensorChange]) -> float | None:
    """Return the median cosine of the matrices among changed tensors, those of zeros left out."""
    found = [
        change.facts.cosine for change in moved if len(change.b.shape) > 1 and change.facts.l2_a
    ]
    if not found:
        return None
    ordered, middle = sorted(found), len(found) // 2  # `statistics` is slow to import
    return (ordered[middle] + ordered[~middle]) / 2


def _which(tensors: Sequence[TensorChange]) -> str:
    """Return the layers that changed, if each changed as a whole or not at all; else a number."""
    layers: defaultdict[str, set[bool]] = defaultdict(set)
    for change in tensors:
        layers[change.layer].add(change.changed)
    moved = [layer for layer, states in layers.items() if states == {True}]
    if all(len(states) == 1 for states in layers.values()) and all(map(is_index, moved)):
        return f"layer{'s' * (len(moved) > 1)} {ranges(map(int, moved))}"
    changed = sum(change.changed for change in tensors)
    return f"{changed:,} of {len(tensors):,} tensors"


def _by_name(tensors: Sequence[TensorChange]) -> Iterator[ChangedPart]:
    """Yield groups by the names up to the first number: those that changed, then the others."""
    groups: defaultdict[str, list[TensorChange]] = defaultdict(list)
    for change in tensors:
        groups[_stem(change.b.name)].append(change)
    parts = {stem: _part(stem, members) for stem, members in groups.items()}
    for kind in ("replaced", "changed", ""):
        alike = {stem: part for stem, part in parts.items() if _kind(part) == kind}
        stems = list(_folded(alike))
        if stems:
            more = f" and {len(stems) - _MOST} more" if len(stems) > _MOST else ""
            text = ", ".join(map(printable, stems[:_MOST])) + more
            yield _part("", [one for stem in alike for one in groups[stem]])._replace(text=text)


def _folded(parts: Mapping[str, ChangedPart]) -> Iterator[str]:
    """Yield parts by their names in short: first those that changed as a whole, or not at all."""
    alike: defaultdict[str, list[str]] = defaultdict(list)
    for stem, part in parts.items():
        alike[part.text.removeprefix(stem)].append(stem)
    for which, stems in sorted(alike.items()):
        for folded, number in fold(sorted(stems, key=natural_key)).items():
            each = " each" if which and number > 1 else ""
            yield f"{folded}{which[:-1]}{each})" if which else folded


def _kind(part: ChangedPart) -> str:
    return "replaced" if part.is_replaced else "changed" if part.changed else ""


def _stem(name: str) -> str:
    """Return a name up to its first number, that included, or without its last segment."""
    segments = name.split(".")
    for place, segment in enumerate(segments):
        if is_index(segment):
            return ".".join(segments[: place + 1])
    return ".".join(segments[:-1]) or name
