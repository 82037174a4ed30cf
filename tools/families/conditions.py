"""Splits rows by conditions until one formula holds for each part: a decision list.

Rows without a tensor are a part too. The fewest conditions win, and plain ones before others.
"""

from __future__ import annotations

from functools import partial
from itertools import combinations
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

type Rows = tuple[int, ...]

_MOST_VALUES = 7


class Condition(NamedTuple):
    """A condition, its opposite, and whether it holds in each row."""

    text: str
    opposite: str
    holds: tuple[bool, ...]


class Leaf[T](NamedTuple):
    """What holds for some rows, and the conditions that select them."""

    conditions: tuple[str, ...]
    rows: Rows
    value: T


def about(name: str, values: Sequence[object], *, single: bool) -> Iterator[Condition]:
    """Yield the conditions about a field or derived value with these values in the rows.

    With `single`, also those about single values of it.
    """
    if all(isinstance(value, bool) for value in values):
        yield Condition(name, f"not {name}", tuple(bool(value) for value in values))
        return
    if all(isinstance(value, int | float) for value in values) and 0 in values:
        yield Condition(f"{name} > 0", f"{name} == 0", tuple(value > 0 for value in values))  # type: ignore[operator]  # numbers, as the line above says
    distinct = sorted({repr(value): value for value in values}.items())
    plain = all(isinstance(value, str | int) for value in values)
    if not single or not plain or len(distinct) > _MOST_VALUES:
        return
    for size in range(1, len(distinct) // 2 + 1):
        for some in combinations(distinct, size):
            others = [pair for pair in distinct if pair not in some]
            chosen = [value for _, value in some]
            holds = tuple(value in chosen for value in values)
            yield Condition(_among(name, some), _among(name, others), holds)


def _among(name: str, some: Sequence[tuple[str, object]]) -> str:
    if len(some) == 1:
        return f"{name} == {some[0][0]}"
    return f"{name} in [{', '.join(text for text, _ in some)}]"


def explain[T](
    rows: Rows,
    leaf: Callable[..., T | None],
    conditions: Sequence[Condition],
    depth: int,
) -> tuple[Leaf[T], ...] | None:
    """Return the fewest leaves that cover `rows`; None where more than `depth` splits are needed.

    `leaf` returns what holds for all of some rows, or None; what is not plain, which takes long,
    only if `thorough`. Each split leaves one side whole.
    """
    plain = _Search(partial(leaf, thorough=False), conditions)
    thorough = _Search(partial(leaf, thorough=True), conditions)
    for limit in range(depth + 2):
        if limit <= depth and (leaves := plain.of(rows, limit)) is not None:
            return leaves
        if limit and (leaves := thorough.of(rows, limit - 1)) is not None:
            return leaves
    return None


class _Search[T]:
    """A search for leaves, with what was found out about parts of the rows."""

    def __init__(self, leaf: Callable[[Rows], T | None], conditions: Sequence[Condition]) -> None:
        self._leaf, self._conditions = leaf, conditions
        self._known: dict[Rows, T | None] = {}
        self._failed: set[tuple[Rows, int]] = set()

    def of(self, rows: Rows, limit: int) -> tuple[Leaf[T], ...] | None:
        """Return leaves that cover `rows`, with at most `limit` splits; None for none."""
        if (found := self._whole(rows)) is not None:
            return (Leaf((), rows, found),)
        if limit == 0 or (rows, limit) in self._failed:
            return None
        for text, side, other, rest in self._splits(rows):
            found = self._whole(side)
            if found is not None and (deeper := self.of(rest, limit - 1)) is not None:
                tail = (leaf._replace(conditions=(other, *leaf.conditions)) for leaf in deeper)
                return (Leaf((text,), side, found), *tail)
        self._failed.add((rows, limit))
        return None

    def _splits(self, rows: Rows) -> Iterator[tuple[str, Rows, str, Rows]]:
        """Yield (condition, rows with it, opposite, rows with that), both ways round."""
        for condition in self._conditions:
            yes = tuple(row for row in rows if condition.holds[row])
            no = tuple(row for row in rows if not condition.holds[row])
            if yes and no:
                yield condition.text, yes, condition.opposite, no
                yield condition.opposite, no, condition.text, yes

    def _whole(self, rows: Rows) -> T | None:
        if rows not in self._known:
            self._known[rows] = self._leaf(rows)
        return self._known[rows]
