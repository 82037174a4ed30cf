"""Templates of tensor names: `layers.{i<layers}.mlp.weight`, `blocks.{0..11}.{0,2}.bias`."""

from __future__ import annotations

from functools import cache, lru_cache
from typing import TYPE_CHECKING, NamedTuple

from ckpt_tools.checkpoint.names import is_index
from ckpt_tools.families.expression import InvalidExpression, Wrong, parse

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from ckpt_tools.families.expression import Expression, Value

MOST = 1024
"""The largest count of one index."""

MOST_NAMES = 200_000
"""The most tensors of a model, so that no config makes the tool list endless names."""

type Indices = dict[str, int]


class Range(NamedTuple):
    """The numbers at one place of a name: those below a count as index `name`, or `numbers`."""

    name: str
    below: Expression | None
    numbers: tuple[int, ...]


class Template(NamedTuple):
    """A tensor name with ranges of numbers between its pieces; one more piece than ranges."""

    text: str
    pieces: tuple[str, ...]
    ranges: tuple[Range, ...]

    @property
    def indices(self) -> frozenset[str]:
        """The names of its indices."""
        return frozenset(one.name for one in self.ranges if one.name)

    @property
    def folded(self) -> str:
        """The name with `*` for every number between dots, as `folded` makes of a tensor's."""
        return folded("0".join(self.pieces))


@cache
def parse_template(text: str) -> Template:
    """Return the template that `text` spells. Raises InvalidExpression."""
    first, *rest = text.split("{")
    holes = [one.partition("}") for one in rest]
    if "}" in first or any(not brace or "}" in piece for _, brace, piece in holes):
        raise InvalidExpression(f"{text!r} has a brace without its other one")
    pieces = (first, *(piece for _, _, piece in holes))
    return Template(text, pieces, tuple(_range(hole) for hole, _, _ in holes))


def _range(hole: str) -> Range:
    name, less, count = hole.partition("<")
    if less and name.strip().isidentifier():
        return Range(name.strip(), parse(count), ())
    low, dots, high = hole.partition("..")
    if dots and low.isdecimal() and high.isdecimal():
        return Range("", None, tuple(range(int(low), int(high) + 1)))
    if all(number.strip().isdecimal() for number in hole.split(",")):
        return Range("", None, tuple(map(int, hole.split(","))))
    raise InvalidExpression(f"{{{hole}}} is neither an index nor a list of numbers")


def expand(template: Template, values: Mapping[str, Value]) -> Iterator[tuple[str, Indices]]:
    """Yield every name of `template`, with its indices. Raises Wrong for a count out of range.

    A count may depend on the indices to the left of it.
    """
    found: list[tuple[str, Indices]] = [(template.pieces[0], {})]
    for one, piece in zip(template.ranges, template.pieces[1:], strict=True):
        longer: list[tuple[str, Indices]] = []
        for text, indices in found:
            numbers = _numbers(one, values, indices)
            if len(longer) + len(numbers) > MOST_NAMES:
                raise Wrong(f"`{template.text}` stands for more than {MOST_NAMES:,} tensors")
            longer += (
                (f"{text}{number}{piece}", {**indices, one.name: number} if one.name else indices)
                for number in numbers
            )
        found = longer
    yield from found


def _numbers(one: Range, values: Mapping[str, Value], indices: Indices) -> range | tuple[int, ...]:
    if one.below is None:
        return one.numbers
    count = one.below.evaluate(with_indices(values, indices, one.below))
    if not isinstance(count, int) or isinstance(count, bool):
        raise Wrong(f"`{one.below.text}` is {_shown(count)}, not a number of layers")
    if count > MOST:
        raise Wrong(f"`{one.below.text}` is {count:,}, and at most {MOST:,} are counted")
    return range(count)


class _Indexed(dict[str, "Value"]):
    """Indices, before the values of other names."""

    def __init__(self, indices: Mapping[str, Value], values: Mapping[str, Value]) -> None:
        super().__init__(indices)
        self._values = values

    def __missing__(self, name: str) -> Value:
        """Return what the name stands for without indices."""
        return self._values[name]


def with_indices(
    values: Mapping[str, Value], indices: Mapping[str, Value], expression: Expression
) -> Mapping[str, Value]:
    """Return the values of names, indices among them; `values` where the expression has none."""
    if not indices or expression.names.isdisjoint(indices):
        return values
    return _Indexed(indices, values)


@lru_cache(maxsize=1 << 13)
def folded(name: str) -> str:
    """Return a tensor name with `*` for every number between dots."""
    first, *rest = name.split(".")
    return ".".join([first, *("*" if is_index(part) else part for part in rest)])


def _shown(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 40 else f"{text[:39]}…"  # noqa: PLR2004 - one line
