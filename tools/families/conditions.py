"""Splits rows by conditions until one formula holds for each part: a decision list.

Rows without a tensor are a part too. The fewest conditions win, and plain ones before others.
"""

from __future__ import annotations

from functools import lru_cache, partial
from itertools import combinations
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

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


def together(
    there: Rows, others: Rows, conditions: Sequence[Condition], used: Mapping[str, int]
) -> tuple[str, ...] | None:
    """Return the fewest conditions that all hold in `there`, and not all in any of `others`.

    Of conditions that leave out equally many, the one that was `used` most. None if there are none.
    """
    left = set(others)
    literals = [
        (text, {row for row in left if one.holds[row] != wanted})
        for one in conditions
        for text, wanted in ((one.text, True), (one.opposite, False))
        if all(one.holds[row] == wanted for row in there)
    ]
    chosen: list[tuple[str, set[int]]] = []
    while left:
        most = max((len(out & left) for _, out in literals), default=0)
        if not most:
            return None
        best = [pair for pair in literals if len(pair[1] & left) == most]
        chosen.append(max(best, key=lambda pair: used.get(pair[0], 0)))
        left -= chosen[-1][1]
    for pair in list(chosen):
        rest = [other for other in chosen if other is not pair]
        if set(others) <= set().union(*(out for _, out in rest)):
            chosen = rest
    order = [text for text, _ in literals]
    return tuple(sorted((text for text, _ in chosen), key=order.index))


def explain[T](
    rows: Rows,
    leaf: Callable[..., T | None],
    conditions: Sequence[Condition],
    depth: int,
    constant: Callable[[Rows], T | None] | None = None,
) -> tuple[Leaf[T], ...] | None:
    """Return the fewest leaves that cover `rows`; None where more than `depth` splits are needed.

    `leaf` returns what holds for all of some rows, or None; what is not plain, which takes long,
    only if `thorough`. `constant` is a quick one for what follows from conditions alone. Each split
    leaves one side whole.
    """
    part = sum(1 << row for row in rows)
    plain = _Search(partial(leaf, thorough=False), conditions)
    thorough = _Search(partial(leaf, thorough=True), conditions)
    quick = _Search(constant, conditions) if constant else None
    for limit in range(depth + 1):
        if (leaves := plain.of(part, limit)) is not None:
            return leaves
        if limit == 1 and quick is not None:
            found = (quick.of(part, splits) for splits in range(2, depth + 1))
            if (leaves := next(filter(None, found), None)) is not None:
                return leaves
        # Few conditions and a long formula explain more than many conditions and short ones.
        if limit % 2 and (leaves := thorough.of(part, limit // 2)) is not None:
            return leaves
    return None


class _Search[T]:
    """A search for leaves, with what was found out about parts of the rows.

    A part is a number with one bit for each row.
    """

    def __init__(self, leaf: Callable[[Rows], T | None], conditions: Sequence[Condition]) -> None:
        self._leaf = leaf
        self._conditions = [(one.text, one.opposite, _part(one.holds)) for one in conditions]
        self._known: dict[int, T | None] = {}
        self._failed: set[tuple[int, int]] = set()

    def of(self, part: int, limit: int) -> tuple[Leaf[T], ...] | None:
        """Return leaves that cover a part, with at most `limit` splits; None for none."""
        if (found := self._whole(part)) is not None:
            return (Leaf((), _rows(part), found),)
        if limit == 0 or (part, limit) in self._failed:
            return None
        for text, side, other, rest in self._splits(part):
            found = self._whole(side)
            if found is not None and (deeper := self.of(rest, limit - 1)) is not None:
                tail = (leaf._replace(conditions=(other, *leaf.conditions)) for leaf in deeper)
                return (Leaf((text,), _rows(side), found), *tail)
        self._failed.add((part, limit))
        return None

    def _splits(self, part: int) -> Iterator[tuple[str, int, str, int]]:
        """Yield (condition, part with it, opposite, part with that), both ways round."""
        for text, opposite, holds in self._conditions:
            yes, no = part & holds, part & ~holds
            if yes and no:
                yield text, yes, opposite, no
                yield opposite, no, text, yes

    def _whole(self, part: int) -> T | None:
        if part not in self._known:
            self._known[part] = self._leaf(_rows(part))
        return self._known[part]


@lru_cache(maxsize=4096)
def _part(holds: tuple[bool, ...]) -> int:
    return sum(1 << row for row, one in enumerate(holds) if one)


def _rows(part: int) -> Rows:
    return tuple(row for row in range(part.bit_length()) if part >> row & 1)
