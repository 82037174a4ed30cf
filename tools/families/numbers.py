"""Finds a formula for a number that varies from row to row, in exact integer arithmetic.

A row is one model, or one layer of one. Formulas are tried from simple to complicated, and the
first kind with one that holds in every row wins; of several of that kind, the plainest.
"""

from __future__ import annotations

from itertools import combinations, combinations_with_replacement, islice
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

_PROBES = 20
_LARGEST_FACTOR = 4096
_PLAIN_LEVELS = 3


class Term(NamedTuple):
    """A symbol or a product of symbols: their texts, and its value in each row."""

    symbols: tuple[str, ...]
    values: tuple[int, ...]

    @property
    def text(self) -> str:
        """The expression, as a factor or a summand."""
        return " * ".join(
            symbol if symbol.isidentifier() or symbol.endswith(("]", ")")) else f"({symbol})"
            for symbol in self.symbols
        )


def symbol(text: str, values: Sequence[int]) -> Term:
    """Return a symbol and its value in each row."""
    return Term((text,), tuple(values))


class _Fit(NamedTuple):
    """Factors of terms and a constant; `parts` divides a single term."""

    terms: tuple[Term, ...]
    factors: tuple[int, ...]
    constant: int
    parts: int = 1

    @property
    def cost(self) -> tuple[int, int, int]:
        """Order of plainness."""
        size = sum(abs(factor) for factor in self.factors) + abs(self.constant) + self.parts
        return (self.constant != 0) + (self.parts != 1), size, len(self.text)

    @property
    def text(self) -> str:
        """The expression."""
        if self.parts != 1:
            return _times(self.factors[0], self.terms[0].text) + f" // {self.parts}"
        if self.factors == (1,) and not self.constant and len(self.terms[0].symbols) == 1:
            return self.terms[0].symbols[0]
        written = ""
        pairs = [(factor, _times(abs(factor), term.text)) for factor, term in self._ordered()]
        if self.constant:
            pairs.append((self.constant, str(abs(self.constant))))
        for factor, text in pairs:
            sign = ("-" if factor < 0 else "") if not written else " - " if factor < 0 else " + "
            written += sign + text
        return written

    def _ordered(self) -> list[tuple[int, Term]]:
        pairs = zip(self.factors, self.terms, strict=True)
        return sorted(pairs, key=lambda pair: pair[0] < 0)


def formula(target: Sequence[int], symbols: Sequence[Term], *, thorough: bool) -> str | None:
    """Return the plainest formula of `symbols` that equals `target` in every row, or None.

    With `thorough`, also those of three terms and of products with summands.
    """
    if all(value == target[0] for value in target):
        return str(target[0])
    varying = [symbol for symbol in symbols if len(set(symbol.values)) > 1]
    rows = _probes(target, varying)
    shorter = [Term(term.symbols, tuple(term.values[row] for row in rows)) for term in varying]
    wanted = [target[row] for row in rows]
    whole = {term.symbols[0]: term for term in varying}
    for level in islice(_levels(shorter), None if thorough else _PLAIN_LEVELS):
        fits = [fit for terms, constant in level if (fit := _fit(wanted, terms, constant))]
        for fit in sorted(fits, key=lambda fit: fit.cost):
            if _holds(fit, whole, target):
                return fit.text
    return None


def _probes(target: Sequence[int], symbols: Sequence[Term]) -> list[int]:
    """Return some rows that differ, spread over all: enough to reject what does not fit."""
    distinct: dict[tuple[int, ...], int] = {}
    for row, value in enumerate(target):
        distinct.setdefault((value, *(symbol.values[row] for symbol in symbols)), row)
    by_value: dict[int, list[int]] = {}
    for row in distinct.values():
        by_value.setdefault(target[row], []).append(row)
    turns = [
        rows[turn] for turn in range(_PROBES) for rows in by_value.values() if turn < len(rows)
    ]
    return turns[:_PROBES]


def _levels(symbols: Sequence[Term]) -> Iterator[Iterator[tuple[tuple[Term, ...], bool]]]:
    """Yield kinds of formula, simple first: sets of terms, and whether a constant is added."""
    yield (((one,), True) for one in symbols)
    doubles = [_product(pair) for pair in combinations_with_replacement(symbols, 2)]
    yield (((one,), False) for one in doubles)
    yield ((pair, True) for pair in combinations(symbols, 2))
    yield (((one,), True) for one in doubles)
    yield ((pair, True) for double in doubles for one in symbols for pair in ((double, one),))
    yield (((_product(three),), False) for three in combinations_with_replacement(symbols, 3))
    yield ((three, True) for three in combinations(symbols, 3))
    if len(symbols) <= 12:  # noqa: PLR2004 - beyond this, pairs of products are too many
        yield ((pair, True) for pair in combinations(doubles, 2))


def _product(terms: tuple[Term, ...]) -> Term:
    values = terms[0].values
    for term in terms[1:]:
        values = tuple(one * other for one, other in zip(values, term.values, strict=True))
    return Term(tuple(name for term in terms for name in term.symbols), values)


def _fit(target: Sequence[int], terms: tuple[Term, ...], constant: bool) -> _Fit | None:  # noqa: FBT001 - part of a kind of formula
    """Return the factors with which these terms make `target`, if there are any."""
    columns = [term.values for term in terms]
    if len(set(zip(*columns, strict=True))) < len(terms) + 1:
        return None
    if len(terms) == 1 and (fit := _multiple(target, terms[0])):
        return fit
    if not constant:
        return None
    solved = _solve(target, columns)
    if solved is None or not all(0 < abs(factor) <= _LARGEST_FACTOR for factor in solved):
        return None
    left = {
        value - sum(factor * part for factor, part in zip(solved, row, strict=True))
        for value, row in zip(target, zip(*columns, strict=True), strict=True)
    }
    few = len(set(zip(*columns, strict=True))) < len(terms) + 2
    if len(left) != 1 or (few and left != {0}):
        return None
    return _Fit(terms, tuple(solved), left.pop())


def _multiple(target: Sequence[int], term: Term) -> _Fit | None:
    """Return the fraction of one term that `target` is in every row."""
    row = next((row for row, value in enumerate(term.values) if value), None)
    if row is None or not target[row]:
        return None
    above, below = target[row], term.values[row]
    if any(value * below != part * above for value, part in zip(target, term.values, strict=True)):
        return None
    common = _common(above, below)
    above, below = above // common, below // common
    if below < 0:
        above, below = -above, -below
    if abs(above) > _LARGEST_FACTOR or below > _LARGEST_FACTOR:
        return None
    return _Fit((term,), (above,), 0, below)


def _solve(target: Sequence[int], columns: Sequence[Sequence[int]]) -> list[int] | None:
    """Return whole factors by Cramer's rule, from the first rows that decide them."""
    rows = [
        [column[row] - column[0] for column in columns] + [target[row] - target[0]]
        for row in range(1, len(target))
    ]
    size = len(columns)
    for chosen in combinations(rows[:7], size):
        below = _determinant([row[:size] for row in chosen])
        if not below:
            continue
        factors = []
        for place in range(size):
            above = _determinant(
                [[*row[:place], row[size], *row[place + 1 : size]] for row in chosen]
            )
            if above % below:
                return None
            factors.append(above // below)
        return factors
    return None


def _determinant(rows: Sequence[Sequence[int]]) -> int:
    if len(rows) == 1:
        return rows[0][0]
    if len(rows) == 2:  # noqa: PLR2004 - two by two
        return rows[0][0] * rows[1][1] - rows[0][1] * rows[1][0]
    return sum(
        (-1) ** place
        * value
        * _determinant([[*row[:place], *row[place + 1 :]] for row in rows[1:]])
        for place, value in enumerate(rows[0])
    )


def _holds(fit: _Fit, whole: dict[str, Term], target: Sequence[int]) -> bool:
    """Whether the formula equals `target` in all rows, not only in those it was found with."""
    columns = [_product(tuple(whole[name] for name in term.symbols)).values for term in fit.terms]
    for row, value in enumerate(target):
        total = sum(f * column[row] for f, column in zip(fit.factors, columns, strict=True))
        if total + fit.constant != value * fit.parts:
            return False
    return True


def _common(one: int, other: int) -> int:
    while other:
        one, other = other, one % other
    return abs(one)


def _times(factor: int, text: str) -> str:
    return text if factor == 1 else f"{factor} * {text}"
