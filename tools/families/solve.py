"""Finds the templates, shapes, dtypes and conditions of a family from real models of it.

Names are read from left to right. A number in a name is an index with a count if its range follows
from fields, and literal otherwise. What then does not fit a formula is a Misfit, never a guess.
"""

from __future__ import annotations

from collections import Counter
from functools import partial
from itertools import combinations
from typing import TYPE_CHECKING, NamedTuple

from ckpt_tools.families.expression import parse
from tools.families.conditions import explain, together
from tools.families.table import INDICES, Table

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from tools.families.conditions import Leaf, Rows
    from tools.families.recipe import Sample

_ABSENT = "absent"
_SPLITS = 5
_FEW = 4
"""Shapes that may follow from conditions alone."""

_TIED = "\0"


class Misfit(Exception):
    """A tensor that no formula describes. The message names it and says what was seen."""


class Hole(NamedTuple):
    """An index of a template and the expression that it stays below."""

    name: str
    below: str


type Piece = str | int | Hole


class Found(NamedTuple):
    """A template with one formula: its pieces between dots, its conditions, dtype and shape.

    `when` are conditions over fields, `each` those over indices too. `dtype` is "" for floats.
    """

    pieces: tuple[Piece, ...]
    when: str
    each: str
    dtype: str
    shape: str


class _Member(NamedTuple):
    """A tensor of one model: its indices so far, the rest of its name, and what it is."""

    model: int
    indices: tuple[int, ...]
    rest: tuple[str, ...]
    seen: tuple[str, tuple[int, ...]]


class Solver:
    """Samples of a family with the values of their fields, and what was found out so far."""

    def __init__(
        self,
        samples: Sequence[Sample],
        values: Sequence[Mapping[str, object]],
        hints: Sequence[str],
        choices: frozenset[str],
        *,
        names_only: bool = False,
    ) -> None:
        self._names_only = names_only
        self._samples = samples
        self._values = values
        self._hints = hints
        self._choices = choices
        self._tables: dict[tuple[str, ...], Table] = {}
        self._used: Counter[str] = Counter()

    def tensors(self) -> tuple[Found, ...]:
        """Return the templates of all tensors, in the order of the models. Raises Misfit."""
        members = [
            _Member(number, (), tuple(name.split(".")), seen)
            for number, sample in enumerate(self._samples)
            for name, seen in _with_other_names(sample)
        ]
        return tuple(self._walk((), (), members))

    def ties(self) -> tuple[tuple[str, tuple[tuple[Piece, ...], ...]], ...]:
        """Return (condition, names) of each group that shares memory, the name kept first."""
        members = [
            _Member(number, (), _joined(_kept_first(group, sample)), ("", ()))
            for number, sample in enumerate(self._samples)
            for group in sample.ties
        ]
        return tuple((one.when, _parted(one.pieces)) for one in self._walk((), (), members))

    def _table(self, counts: tuple[str, ...]) -> Table:
        if counts not in self._tables:
            self._tables[counts] = Table(self._values, counts, self._hints, self._choices)
        return self._tables[counts]

    def _walk(
        self, pieces: tuple[Piece, ...], counts: tuple[str, ...], members: Sequence[_Member]
    ) -> list[Found]:
        """Return the templates of tensors whose names begin alike."""
        ended = [member for member in members if not member.rest]
        found = self._described(pieces, counts, ended) if ended else []
        numbered = [member for member in members if member.rest and member.rest[0].isdecimal()]
        if numbered and (count := self._count(counts, numbered)):
            hole = Hole(INDICES[len(counts)], count)
            below = [
                one._replace(indices=(*one.indices, int(one.rest[0])), rest=one.rest[1:])
                for one in numbered
            ]
            try:
                found += self._walk((*pieces, hole), (*counts, count), below)
                members = [member for member in members if member not in numbered]
            except Misfit:
                if any(int(one.rest[0]) > 64 for one in numbered):  # noqa: PLR2004 - a list, not parts
                    raise
        groups: dict[str, list[_Member]] = {}
        for member in members:
            if member.rest:
                groups.setdefault(member.rest[0], []).append(member._replace(rest=member.rest[1:]))
        for segment, group in groups.items():
            piece = int(segment) if segment.isdecimal() else segment
            found += self._walk((*pieces, piece), counts, group)
        return found

    def _count(self, counts: tuple[str, ...], members: Iterable[_Member]) -> str | None:
        """Return the formula of how many numbers there are, or None for a constant or none."""
        if len(counts) == len(INDICES):
            return None
        most: dict[tuple[int, tuple[int, ...]], int] = {}
        for member in members:
            row = member.model, member.indices
            most[row] = max(most.get(row, 0), int(member.rest[0]) + 1)
        if len(set(most.values())) == 1:
            return None
        table = self._table(counts)
        rows = tuple(table.place[row] for row in most)
        return table.number(rows, tuple(most.values()))

    def _described(
        self, pieces: tuple[Piece, ...], counts: tuple[str, ...], members: Iterable[_Member]
    ) -> list[Found]:
        """Return the templates of one name, one for each formula. Raises Misfit."""
        table = self._table(counts)
        seen = {table.place[member.model, member.indices]: member.seen for member in members}
        rows = tuple(range(len(table.rows)))

        def shape(some: Rows, *, thorough: bool) -> str | None:
            there = [row for row in some if row in seen]
            if not there:
                return _ABSENT
            if len(there) == len(some) and self._names_only:
                return ""
            if len(there) < len(some) or len({len(seen[row][1]) for row in some}) > 1:
                return None
            axes = zip(*(seen[row][1] for row in some), strict=True)
            sizes = [table.number(some, tuple(axis), thorough=thorough) for axis in axes]
            return None if None in sizes else ", ".join(map(str, sizes))

        there = tuple(row for row in rows if row in seen)
        others = tuple(row for row in rows if row not in seen)
        always = together(there, others, table.conditions, self._used)
        part = rows if always is None else there
        leaves = None
        if len({one for _, one in seen.values()}) <= _FEW:
            leaves = explain(part, partial(_constant, seen), table.conditions, _SPLITS)
        leaves = leaves or explain(part, shape, table.conditions, _SPLITS)
        if leaves is None:
            raise Misfit(_unexplained(pieces, table, seen))
        found = []
        for some, value, conditions in _merged(leaves, table):
            if value != _ABSENT:
                dtype = self._dtype(table, some, {row: seen[row][0] for row in some}, pieces)
                needed = _needed((*(always or ()), *conditions), some, table)
                self._used.update(needed)
                when, each = _sorted_by_index(needed)
                found.append(Found(pieces, when, each, dtype, value))
        return found

    def _dtype(
        self, table: Table, rows: Rows, seen: Mapping[int, str], pieces: tuple[Piece, ...]
    ) -> str:
        """Return the dtype, an expression where it varies, or "" for F32."""

        def single(some: Rows, **_: bool) -> str | None:
            dtypes = {seen[row] for row in some}
            return dtypes.pop() if len(dtypes) == 1 else None

        leaves = explain(rows, single, table.conditions, _SPLITS)
        if leaves is None:
            raise Misfit(f"the dtype of {written(pieces)} follows from no condition")
        merged = _merged(leaves, table)
        *first, (_, last, _) = merged
        text = "".join(f"{value} if {' and '.join(chosen)} else " for _, value, chosen in first)
        return "" if not first and last in {"F32", ""} else text + last


def _constant(seen: Mapping[int, tuple[str, tuple[int, ...]]], rows: Rows, **_: bool) -> str | None:
    """Return the one shape of these rows, None if there are several."""
    shapes = {seen[row][1] if row in seen else None for row in rows}
    if len(shapes) > 1:
        return None
    shape = shapes.pop()
    return _ABSENT if shape is None else ", ".join(map(str, shape))


def _merged(leaves: Sequence[Leaf[str]], table: Table) -> list[tuple[Rows, str, tuple[str, ...]]]:
    """Return (rows, value, fewest conditions) with leaves of one value together, if possible."""
    whole = {row for leaf in leaves for row in leaf.rows}
    by_value: dict[str, list[Leaf[str]]] = {}
    for leaf in leaves:
        by_value.setdefault(leaf.value, []).append(leaf)
    merged = []
    for value, alike in by_value.items():
        rows = tuple(sorted(row for leaf in alike for row in leaf.rows))
        together = _selecting(rows, whole, table)
        if together is None and len(alike) == 1:
            together = _fewest(alike[0], whole, table)
        if together is not None:
            merged.append((rows, value, together))
        else:
            merged += [(leaf.rows, value, _fewest(leaf, whole, table)) for leaf in alike]
    return merged


def _selecting(rows: Rows, whole: set[int], table: Table) -> tuple[str, ...] | None:
    """Return one condition, or two, that hold in exactly these rows of `whole`."""
    wanted = set(rows)
    if wanted == whole:
        return ()
    literals = [
        (text, {row for row in whole if condition.holds[row] == positive})
        for condition in table.conditions
        for text, positive in ((condition.text, True), (condition.opposite, False))
    ]
    for text, chosen in literals:
        if chosen == wanted:
            return (text,)
    holding = [pair for pair in literals if wanted <= pair[1]]
    for number, (text, chosen) in enumerate(holding):
        for other, also in holding[number + 1 :]:
            if chosen & also == wanted:
                return text, other
    within = [pair for pair in literals if pair[1] and pair[1] <= wanted]
    for number, (text, chosen) in enumerate(within):
        for other, also in within[number + 1 :]:
            if chosen | also == wanted:
                return (f"({text} or {other})",)
    return None


def _fewest(leaf: Leaf[str], whole: set[int], table: Table) -> tuple[str, ...]:
    """Return the conditions of a leaf without those that the others imply."""
    return _implied(leaf.conditions, set(leaf.rows), whole, table)


def _needed(conditions: Sequence[str], rows: Rows, table: Table) -> tuple[str, ...]:
    """Return the conditions that select these rows among all, without those that are implied."""
    whole = set(range(len(table.rows)))
    chosen = _selecting(rows, whole, table)
    if chosen is not None and len(chosen) < min(len(conditions), 2):
        return chosen
    return _implied(tuple(dict.fromkeys(conditions)), set(rows), whole, table)


def _implied(
    conditions: tuple[str, ...], rows: set[int], whole: set[int], table: Table
) -> tuple[str, ...]:
    holds = {c.text: c.holds for c in table.conditions}
    holds |= {c.opposite: tuple(not one for one in c.holds) for c in table.conditions}
    if any(condition not in holds for condition in conditions):
        return conditions

    def select(chosen: Sequence[str]) -> bool:
        return {row for row in whole if all(holds[one][row] for one in chosen)} == rows

    kept = list(conditions)
    for condition in conditions:
        others = [one for one in kept if one != condition]
        if select(others):
            kept = others
    for pair in combinations(kept, 2):
        others = [one for one in kept if one not in pair]
        single = next((one for one in holds if select([*others, one])), None)
        if single is not None:
            kept = [*others, single]
            break
    order = list(holds)
    return tuple(sorted(kept, key=order.index))


def _sorted_by_index(conditions: Sequence[str]) -> tuple[str, str]:
    """Return the conditions over fields, and those over indices too."""
    when = [text for text in conditions if not set(INDICES) & parse(text).names]
    each = [text for text in conditions if text not in when]
    return _all(when), _all(each)


def _all(conditions: Sequence[str]) -> str:
    return (
        conditions[0].strip("()")
        if len(conditions) == 1 and " or " in conditions[0]
        else (" and ".join(conditions))
    )


def written(pieces: Sequence[Piece]) -> str:
    """Return a template as the file spells it."""
    return ".".join(
        f"{{{piece.name}<{piece.below}}}" if isinstance(piece, Hole) else str(piece)
        for piece in pieces
    )


def _unexplained(
    pieces: tuple[Piece, ...], table: Table, seen: Mapping[int, tuple[str, tuple[int, ...]]]
) -> str:
    """Say what was seen of a tensor that nothing explains."""
    some = [
        f"{table.rows[row]}: {seen[row][1] if row in seen else 'absent'}"
        for row in range(min(len(table.rows), 12))
    ]
    return f"no formula for {written(pieces)}; seen were {'; '.join(some)}"


def _with_other_names(sample: Sample) -> Iterator[tuple[str, tuple[str, tuple[int, ...]]]]:
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


def _kept_first(group: Sequence[str], sample: Sample) -> list[str]:
    return sorted(group, key=lambda name: (name not in sample.tensors, name))


def _joined(group: Sequence[str]) -> tuple[str, ...]:
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


def _parted(pieces: Sequence[Piece]) -> tuple[tuple[Piece, ...], ...]:
    """Return the names of a group that `_joined` joined."""
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
