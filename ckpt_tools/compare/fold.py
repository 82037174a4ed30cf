"""Names with numbers folded into ranges, so that a person can read five hundred of them: `layers.{0..15}.mlp.up_proj.weight`."""

from __future__ import annotations

from collections import Counter, defaultdict
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable


SEGMENT_LIMIT = 64
"""More dots than a model's names have. A hostile name has a million, and would be looked at a million times."""

_DIGIT_LIMIT = 9
"""A layer has a number of a few digits. What has more is a name."""


def fold(names: Iterable[str]) -> dict[str, int]:
    """Return, for every folded name in order of first appearance, how many of `names` it stands for.

    Segments that are whole numbers fold, from left to right, where everything else in the names is equal.
    """
    folded = {tuple(name.split(".", SEGMENT_LIMIT)): 1 for name in names}
    longest = max(map(len, folded), default=0)
    for position in range(longest):
        folded = _fold_segment(folded, position)
    written: Counter[str] = Counter()
    for segments, count in folded.items():
        # A name may look like one that is folded, a.{0..2}. Then both are one line, and both count.
        written[".".join(segments)] += count
    return dict(written)


def _fold_segment(names: dict[tuple[str, ...], int], position: int) -> dict[tuple[str, ...], int]:
    groups: defaultdict[tuple[tuple[str, ...], ...], list[tuple[str, ...]]] = defaultdict(list)
    numbered = [len(segments) > position and is_index(segments[position]) for segments in names]
    if not any(numbered):
        return names
    for segments, number in zip(names, numbered, strict=True):
        rest = (segments[:position], segments[position + 1 :]) if number else (segments,)
        groups[rest].append(segments)
    folded: dict[tuple[str, ...], int] = {}
    for members in groups.values():
        first = members[0]
        key = first if len(members) == 1 else (*first[:position], ranges(int(name[position]) for name in members), *first[position + 1 :])
        folded[key] = sum(names[member] for member in members)
    return folded


def is_index(segment: str) -> bool:
    """Whether a name segment is a whole number in its one spelling: 7, but not 07."""
    return len(segment) <= _DIGIT_LIMIT and segment.isascii() and segment.isdecimal() and (segment == "0" or segment[0] != "0")


def natural_key(name: str) -> tuple[tuple[int, int | str], ...]:
    """Return a sort key under which layers.2 stands before layers.10."""
    return tuple((0, int(part)) if is_index(part) else (1, part) for part in name.split(".", SEGMENT_LIMIT))


def ranges(numbers: Iterable[int]) -> str:
    """Return whole numbers in braces, runs of three and more as ranges: {0..3,7}, {0..14 by 2}; a lone number bare."""
    ordered = sorted(set(numbers))
    if len(ordered) == 1:
        return str(ordered[0])
    step = ordered[1] - ordered[0]
    if step > 1 and len(ordered) > 2 and ordered == list(range(ordered[0], ordered[-1] + 1, step)):  # noqa: PLR2004 - two numbers are no row
        return f"{{{ordered[0]}..{ordered[-1]} by {step}}}"
    runs: list[list[int]] = []
    for number in ordered:
        if runs and number == runs[-1][-1] + 1:
            runs[-1].append(number)
        else:
            runs.append([number])
    return "{" + ",".join(map(_run, runs)) + "}"


def _run(run: list[int]) -> str:
    if len(run) > 2:  # noqa: PLR2004 - 3,4 is shorter than 3..4
        return f"{run[0]}..{run[-1]}"
    return ",".join(map(str, run))
