"""Finds the templates, shapes, dtypes and conditions of a family from real models of it.

Names are read from left to right. A number in a name is an index with a count if its range follows
from fields, and literal otherwise. What then does not fit a formula is a Misfit, never a guess.
"""

from __future__ import annotations

from collections import Counter
from functools import partial
from typing import TYPE_CHECKING, NamedTuple

from tools.families.conditions import explain, together
from tools.families.merge import merged, needed, sorted_by_index
from tools.families.shared_names import joined, kept_first, parted, with_other_names
from tools.families.table import INDICES, Table

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from tools.families.conditions import Rows
    from tools.families.recipe import Sample

_ABSENT = "absent"
_SPLITS = 5
_FEW = 4
"""Shapes that may follow from conditions alone."""


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
        self._mostly_f32 = all(_usual(sample) == "F32" for sample in samples)
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
            for name, seen in with_other_names(sample)
        ]
        return tuple(self._walk((), (), members))

    def ties(self) -> tuple[tuple[str, tuple[tuple[Piece, ...], ...]], ...]:
        """Return (condition, names) of each group that shares memory, the name kept first."""
        members = [
            _Member(number, (), joined(kept_first(group, sample)), ("", ()))
            for number, sample in enumerate(self._samples)
            for group in sample.ties
        ]
        return tuple((one.when, parted(one.pieces)) for one in self._walk((), (), members))

    def _table(self, counts: tuple[str, ...]) -> Table:
        if counts not in self._tables:
            self._tables[counts] = Table(self._values, counts, self._hints, self._choices)
        return self._tables[counts]

    def _walk(
        self, pieces: tuple[Piece, ...], counts: tuple[str, ...], members: Sequence[_Member]
    ) -> list[Found]:
        """Return the templates of tensors whose names begin alike. Raises Misfit."""
        ended = [member for member in members if not member.rest]
        found = self._described(pieces, counts, ended) if ended else []
        numbered = [member for member in members if member.rest and member.rest[0].isdecimal()]
        named = [member for member in members if member.rest and not member.rest[0].isdecimal()]
        found += self._numbered(pieces, counts, numbered) if numbered else []
        return found + self._apart(pieces, counts, named)

    def _numbered(
        self, pieces: tuple[Piece, ...], counts: tuple[str, ...], members: Sequence[_Member]
    ) -> list[Found]:
        """Return the templates of names that go on with a number: an index, or literal ones."""
        count = self._count(counts, members)
        if not count:
            return self._apart(pieces, counts, members)
        below = [
            one._replace(indices=(*one.indices, int(one.rest[0])), rest=one.rest[1:])
            for one in members
        ]
        hole = Hole(INDICES[len(counts)], count)
        try:
            return self._walk((*pieces, hole), (*counts, count), below)
        except Misfit as misfit:
            try:
                return self._apart(pieces, counts, members)
            except Misfit:
                raise misfit from None

    def _apart(
        self, pieces: tuple[Piece, ...], counts: tuple[str, ...], members: Sequence[_Member]
    ) -> list[Found]:
        """Return the templates of names by their next segment."""
        groups: dict[str, list[_Member]] = {}
        for member in members:
            groups.setdefault(member.rest[0], []).append(member._replace(rest=member.rest[1:]))
        found = []
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
        if there not in table.always:
            table.always[there] = together(there, others, table.conditions, self._used)
        always = table.always[there]
        part = rows if always is None else there
        few = len({one for _, one in seen.values()}) <= _FEW
        constant = partial(_constant, seen) if few else None
        leaves = explain(part, shape, table.conditions, _SPLITS, constant)
        if leaves is None:
            raise Misfit(_unexplained(pieces, seen))
        found = []
        for some, value, conditions in merged(leaves, table):
            if value != _ABSENT:
                dtype = self._dtype(table, some, {row: seen[row][0] for row in some}, pieces)
                chosen = needed((*(always or ()), *conditions), some, table)
                self._used.update(chosen)
                when, each = sorted_by_index(chosen)
                found.append(Found(pieces, when, each, dtype, value))
        return found

    def _dtype(
        self, table: Table, rows: Rows, seen: Mapping[int, str], pieces: tuple[Piece, ...]
    ) -> str:
        """Return the dtype, an expression where it varies, or "" for F32 as what is usual."""

        def single(some: Rows, **_: bool) -> str | None:
            dtypes = {seen[row] for row in some}
            return dtypes.pop() if len(dtypes) == 1 else None

        leaves = explain(rows, single, table.conditions, _SPLITS)
        if leaves is None:
            raise Misfit(f"the dtype of {written(pieces)} follows from no condition")
        *first, (_, last, _) = merged(leaves, table)
        text = "".join(f"{value} if {' and '.join(chosen)} else " for _, value, chosen in first)
        is_usual = last == "F32" and self._mostly_f32
        return "" if not first and (is_usual or not last) else text + last


def _usual(sample: Sample) -> str:
    """Return the dtype that most tensors of floats have."""
    floats = Counter(dtype for dtype, _ in sample.tensors.values() if "F" in dtype)
    return floats.most_common(1)[0][0] if floats else "F32"


def _constant(seen: Mapping[int, tuple[str, tuple[int, ...]]], rows: Rows, **_: bool) -> str | None:
    """Return the one shape of these rows, None if there are several."""
    shapes = {seen[row][1] if row in seen else None for row in rows}
    if len(shapes) > 1:
        return None
    shape = shapes.pop()
    return _ABSENT if shape is None else ", ".join(map(str, shape))


def written(pieces: Sequence[Piece]) -> str:
    """Return a template as the file spells it."""
    return ".".join(
        f"{{{piece.name}<{piece.below}}}" if isinstance(piece, Hole) else str(piece)
        for piece in pieces
    )


def _unexplained(pieces: tuple[Piece, ...], seen: Mapping[int, tuple[str, tuple[int, ...]]]) -> str:
    """Say what was seen of a tensor that nothing explains."""
    shapes = list(dict.fromkeys(str(list(shape)) for _, shape in seen.values()))
    return f"no formula for {written(pieces)}: {', '.join(shapes[:4])}"
