"""Names that share memory: a group as one name for the solver, and back."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from tools.families.recipe import Sample
    from tools.families.solve import Piece

_TIED = "\0"


def with_other_names(sample: Sample) -> Iterator[tuple[str, tuple[str, tuple[int, ...]]]]:
    """Yield every tensor, also under the names that were not kept."""
    others = {
        name: [other for other in group if other not in sample.tensors]
        for group in sample.ties
        for name in group
        if name in sample.tensors
    }
    for name, seen in sample.tensors.items():
        yield name, seen
        yield from ((other, seen) for other in others.get(name, ()))


def kept_first(group: Sequence[str], sample: Sample) -> list[str]:
    """Return the names of a group, the one that is kept first."""
    return sorted(group, key=lambda name: (name not in sample.tensors, name))


def joined(group: Sequence[str]) -> tuple[str, ...]:
    """Return a group's names as one, in which later names refer to the first one's numbers."""
    first, *others = group
    segments = first.split(".")
    numbers = [segment for segment in segments if segment.isdecimal()]
    rest = []
    for name in others:
        open_numbers = list(enumerate(numbers))
        parts = []
        for part in name.split("."):
            match = next((pair for pair in open_numbers if pair[1] == part), None)
            if match:
                open_numbers.remove(match)
            parts.append(f"{_TIED}{match[0]}" if match else part)
        rest.append(".".join(parts))
    return (*segments, "|".join(("", *rest)))


def parted(pieces: Sequence[Piece]) -> tuple[tuple[Piece, ...], ...]:
    """Return the names of a group that `joined` joined."""
    *first, others = pieces
    numbers = [piece for piece in first if not isinstance(piece, str)]
    names: list[tuple[Piece, ...]] = [tuple(first)]
    for name in str(others).split("|")[1:]:
        parts: list[Piece] = []
        for part in name.split("."):
            if part.startswith(_TIED):
                parts.append(numbers[int(part[1:])])
            else:
                parts.append(int(part) if part.isdecimal() else part)
        names.append(tuple(parts))
    return tuple(names)
