"""The rows over which formulas are sought: every model, and every place below its counts."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ckpt_tools.families.expression import Wrong, parse
from tools.families.conditions import Condition, about
from tools.families.numbers import formula, symbol

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from tools.families.conditions import Rows

INDICES = "ijkl"
"""Names of the indices of a tensor name, from left to right."""

_SHORT = 8


class Table:
    """Rows (model, indices) and what can be said about each: symbols and conditions.

    `counts` are the expressions that limit the indices, `choices` the names of fields whose single
    values are worth a condition.
    """

    def __init__(
        self,
        models: Sequence[Mapping[str, object]],
        counts: Sequence[str],
        hints: Sequence[str],
        choices: frozenset[str],
    ) -> None:
        self.rows = [
            (number, indices)
            for number, model in enumerate(models)
            for indices in _places(model, counts)
        ]
        self.place = {row: position for position, row in enumerate(self.rows)}
        self._values = [
            {**models[number], **dict(zip(INDICES, indices, strict=False))}
            for number, indices in self.rows
        ]
        self._names = list(models[0]) if models else []
        self._indices = INDICES[: len(counts)]
        columns = {
            text: self._column(text)
            for text in (*self._names, *self._items(), *self._indices, *hints)
        }
        self._symbols = list(_distinct(columns))
        self.conditions = _without_repeats(self._conditions(columns, counts, choices))
        self.holds = {one.text: one.holds for one in self.conditions}
        for one in self.conditions:
            self.holds[one.opposite] = tuple(not holds for holds in one.holds)
        self.selections: dict[tuple[Rows, Rows], tuple[str, ...] | None] = {}
        self.shortened: dict[tuple[tuple[str, ...], Rows, Rows], tuple[str, ...]] = {}
        self.always: dict[Rows, tuple[str, ...] | None] = {}
        self._found: dict[tuple[Rows, tuple[int, ...], bool], str | None] = {}

    def _column(self, text: str) -> tuple[object, ...]:
        """Return an expression's value in each row, None where it has none."""
        expression = parse(text)

        def value(values: Mapping[str, object]) -> object:
            try:
                found: object = expression.evaluate(values)
            except (Wrong, KeyError):
                return None
            return found

        return tuple(value(values) for values in self._values)

    def _lists(self) -> Iterator[tuple[str, int]]:
        """Yield the fields that are lists, and the length of the shortest."""
        for name in self._names:
            found = [values[name] for values in self._values]
            lists = [value for value in found if isinstance(value, list | tuple)]
            if lists and len(lists) == len(found):
                yield name, min(map(len, lists))

    def _items(self) -> Iterator[str]:
        """Yield expressions for the items of fields that are lists."""
        for name, shortest in self._lists():
            yield f"len({name})"
            yield from (f"{name}[{number}]" for number in range(min(shortest, 2)))
            yield from (f"{name}[-{number}]" for number in range(1, min(shortest, 2) + 1))
            for index in self._indices:
                yield from (f"{name}[{index}]", f"{name}[{index} - 1]", f"{name}[{index} + 1]")
                yield from (f"{name}[-1 - {index}]", f"{name}[-2 - {index}]")

    def _conditions(
        self,
        columns: Mapping[str, tuple[object, ...]],
        counts: Sequence[str],
        choices: frozenset[str],
    ) -> Iterator[Condition]:
        texts = [text for text in columns if not set(INDICES) & parse(text).names]
        texts += [text for text in columns if text not in texts and text not in INDICES]
        for text in texts:
            column = columns[text]
            if all(value is not None for value in column):
                # A size in a list is no choice: its values are those that happen to be drawn.
                of_words = "[" in text and not any(_whole(value) for value in column)
                yield from about(text, column, single=text in choices or of_words)
        for index, count in zip(self._indices, counts, strict=True):
            yield from self._of_index(index, count, columns)

    def _of_index(
        self, index: str, count: str, columns: Mapping[str, tuple[object, ...]]
    ) -> Iterator[Condition]:
        """Yield conditions about the place of a layer."""
        yield self._condition(f"{index} == 0", f"{index} > 0")
        last = f"{count} - 1" if count.isidentifier() or "+" in count else f"({count}) - 1"
        yield self._condition(f"{index} == {last}", f"{index} < {last}")
        for step in (2, 3, 4):
            for rest in range(step):
                yield self._condition(f"{index} % {step} == {rest}", f"{index} % {step} != {rest}")
        for name in self._names:
            if all(_whole(value) and 0 < int(str(value)) <= _SHORT for value in columns[name]):
                yield self._condition(f"{index} % {name} == 0", f"{index} % {name} != 0")
                yield self._condition(
                    f"({index} + 1) % {name} == 0", f"({index} + 1) % {name} != 0"
                )
                yield self._condition(f"{index} < {name}", f"{index} >= {name}")
        for name, _ in self._lists():
            yield self._condition(f"{index} in {name}", f"{index} not in {name}")

    def _condition(self, text: str, opposite: str) -> Condition:
        return Condition(text, opposite, tuple(bool(value) for value in self._column(text)))

    def number(self, rows: Rows, target: tuple[int, ...], *, thorough: bool = True) -> str | None:
        """Return the formula that gives `target` in these rows, or None."""
        key = rows, target, thorough
        if key not in self._found:
            symbols = [
                symbol(text, [int(str(column[row])) for row in rows])
                for text, column in self._symbols
                if all(_whole(column[row]) for row in rows)
            ]
            self._found[key] = formula(target, symbols, thorough=thorough)
        return self._found[key]


def _places(model: Mapping[str, object], counts: Sequence[str]) -> list[tuple[int, ...]]:
    """Return all combinations of indices below their counts."""
    places: list[tuple[int, ...]] = [()]
    for count in counts:
        expression = parse(count)
        longer = []
        for place in places:
            values = {**model, **dict(zip(INDICES, place, strict=False))}
            try:
                longer += [(*place, number) for number in range(expression.evaluate(values))]
            except (Wrong, KeyError):
                continue
        places = longer
    return places


def _whole(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _distinct(
    columns: Mapping[str, tuple[object, ...]],
) -> Iterator[tuple[str, tuple[object, ...]]]:
    """Yield the columns of whole numbers, without those that equal an earlier one."""
    seen = set()
    for text, column in columns.items():
        numbers = tuple(value if _whole(value) else None for value in column)
        if numbers not in seen and any(value is not None for value in numbers):
            seen.add(numbers)
            yield text, numbers


def _without_repeats(conditions: Iterator[Condition]) -> list[Condition]:
    """Return conditions that decide something, each once."""
    seen: set[tuple[bool, ...]] = set()
    kept = []
    for condition in conditions:
        opposite = tuple(not holds for holds in condition.holds)
        if condition.holds in seen or opposite in seen or len(set(condition.holds)) == 1:
            continue
        seen.add(condition.holds)
        kept.append(condition)
    return kept
