"""Releases as a person names them: `transformers==5.24`, `transformers<4.52`."""

from __future__ import annotations

import re
from itertools import pairwise
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Sequence

_SPEC = re.compile(r"([a-z][a-z0-9_-]*)\s*(==|<=|>=|<|>)\s*(\d+(?:\.\d+){0,3})")

type Numbers = tuple[int, ...]


class Target(NamedTuple):
    """A library, and the releases of it that a comparison with a version leaves."""

    library: str
    operator: str
    version: str

    def __str__(self) -> str:
        """Return it as it was written."""
        return f"{self.library}{self.operator}{self.version}"


def target_of(text: str) -> Target | None:
    """Return what a person named; None for anything else."""
    found = _SPEC.fullmatch(text.strip())
    return Target(found[1], found[2], found[3]) if found else None


def meant(target: Target, examined: Sequence[str]) -> tuple[str, ...]:
    """Return the examined releases that a target means, in order.

    For one that was not examined, its neighbours on both sides; none beyond the last.
    """
    wanted = _numbers(target.version)
    chosen = tuple(one for one in examined if _fits(_numbers(one), target.operator, wanted))
    if chosen or target.operator != "==":
        return chosen
    return next(
        (
            (older, newer)
            for older, newer in pairwise(examined)
            if _numbers(older) < wanted < _numbers(newer)
        ),
        (),
    )


def _numbers(version: str) -> Numbers:
    return tuple(map(int, version.split(".")))


def _fits(version: Numbers, operator: str, wanted: Numbers) -> bool:
    """Whether a version is meant: by `==`, also one that has more numbers than were given."""
    whole = (*wanted, *(0,) * (len(version) - len(wanted)))
    return {
        "==": version[: len(wanted)] == wanted,
        "<": version < whole,
        "<=": version <= whole,
        ">": version > whole,
        ">=": version >= whole,
    }[operator]
