"""Puts leaves of one value together, and leaves out conditions that others imply."""

from __future__ import annotations

from itertools import combinations
from typing import TYPE_CHECKING

from ckpt_tools.families.expression import parse
from tools.families.table import INDICES

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tools.families.conditions import Leaf, Rows
    from tools.families.table import Table


def merged(leaves: Sequence[Leaf[str]], table: Table) -> list[tuple[Rows, str, tuple[str, ...]]]:
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
    key = rows, tuple(sorted(whole))
    if key not in table.selections:
        table.selections[key] = _selected(set(rows), whole, table)
    return table.selections[key]


def _selected(wanted: set[int], whole: set[int], table: Table) -> tuple[str, ...] | None:
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
    for (text, chosen), (other, also) in combinations(holding, 2):
        if chosen & also == wanted:
            return text, other
    within = [pair for pair in literals if pair[1] and pair[1] <= wanted]
    for (text, chosen), (other, also) in combinations(within, 2):
        if chosen | also == wanted:
            return (f"({text} or {other})",)
    return None


def _fewest(leaf: Leaf[str], whole: set[int], table: Table) -> tuple[str, ...]:
    """Return the conditions of a leaf without those that the others imply."""
    return _implied(leaf.conditions, set(leaf.rows), whole, table)


def needed(conditions: Sequence[str], rows: Rows, table: Table) -> tuple[str, ...]:
    """Return the conditions that select these rows among all, without those that are implied."""
    whole = set(range(len(table.rows)))
    chosen = _selecting(rows, whole, table)
    if chosen is not None and len(chosen) < min(len(conditions), 2):
        return chosen
    return _implied(tuple(dict.fromkeys(conditions)), set(rows), whole, table)


def _implied(
    conditions: tuple[str, ...], rows: set[int], whole: set[int], table: Table
) -> tuple[str, ...]:
    key = conditions, tuple(sorted(rows)), tuple(sorted(whole))
    if key not in table.shortened:
        table.shortened[key] = _shortened(conditions, rows, whole, table)
    return table.shortened[key]


def _shortened(
    conditions: tuple[str, ...], rows: set[int], whole: set[int], table: Table
) -> tuple[str, ...]:
    holds = table.holds
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


def sorted_by_index(conditions: Sequence[str]) -> tuple[str, str]:
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
