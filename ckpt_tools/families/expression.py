"""The expressions of family files: sizes, counts and conditions over a config's fields.

A subset of Python's syntax, read by its parser and evaluated here, never by `eval`: constants,
names, arithmetic, comparisons, `in`, `and`, `or`, `not`, `x if c else y`, lists, indexing, and the
functions int, min, max, len and sum. What a name stands for is the caller's.
"""

from __future__ import annotations

import operator
from functools import cache
from typing import TYPE_CHECKING, Any, NamedTuple

from ckpt_tools.checkpoint.dtype import DTYPES

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

type Value = object
"""A JSON value."""

type Evaluate = Callable[[Mapping[str, Value]], Any]
"""Returns an expression's value by the values of its names. Any: operands are of JSON's types."""

_ONLY_TREE = 0x400  # ast.PyCF_ONLY_AST, without the import of ast, which costs start-up time
_LARGEST = 1 << 64

FLOAT = "float"
"""The dtype of weights that are saved in any of F32, BF16 and F16."""


class Wrong(ValueError):
    """A config's values that do not fit an expression. The message says how."""


class InvalidExpression(ValueError):
    """An expression that this language does not have: a fault of the family file."""


class Expression(NamedTuple):
    """A parsed expression: its text, the names in it, and how it is evaluated.

    `evaluate` raises Wrong for values that do not fit, and what the mapping of names raises.
    """

    text: str
    names: frozenset[str]
    evaluate: Evaluate


@cache
def parse(text: str) -> Expression:
    """Return the expression that `text` spells. Raises InvalidExpression."""
    return _expression(text, _tree(text, text))


@cache
def parse_list(text: str) -> tuple[Expression, ...]:
    """Return the expressions that `text` lists with commas; none for "". InvalidExpression."""
    if not text.strip():
        return ()
    listed = f"({text},)"
    nodes = _tree(listed, text).elts
    return tuple(_expression(listed[one.col_offset : one.end_col_offset], one) for one in nodes)


def _tree(source: str, text: str) -> Any:  # noqa: ANN401 - a node of Python's syntax tree
    try:
        return compile(source, text, "eval", _ONLY_TREE).body
    except (SyntaxError, ValueError) as error:
        raise InvalidExpression(f"{text!r} is not an expression: {error}") from None


def _expression(text: str, node: Any) -> Expression:  # noqa: ANN401 - a node
    names: set[str] = set()
    evaluate = _read(node, names)
    return Expression(text, frozenset(names), _guarded(text, evaluate))


def _guarded(text: str, evaluate: Evaluate) -> Evaluate:
    """Return the same with every error of a wrong operand as Wrong."""

    def guarded(values: Mapping[str, Value]) -> Value:
        try:
            return evaluate(values)
        except (TypeError, IndexError, KeyError, ZeroDivisionError, OverflowError) as error:
            raise Wrong(f"`{text}` cannot be computed: {error}") from None

    return guarded


# --- from syntax to functions ---------------------------------------------------------------------


def _number(value: Any) -> Any:  # noqa: ANN401 - a JSON value
    if not isinstance(value, int | float):
        raise TypeError("a number is expected")
    if not -_LARGEST <= value <= _LARGEST:
        raise OverflowError("a number is too large")
    return value


def _within(items: Any, value: Any) -> bool:  # noqa: ANN401 - JSON values
    if not isinstance(items, str | list | dict | tuple):
        raise TypeError("a list is expected")
    return value in items


_ARITHMETIC: dict[str, Callable[[Any, Any], Any]] = {
    "Add": operator.add,
    "Sub": operator.sub,
    "Mult": operator.mul,
    "Div": operator.truediv,
    "FloorDiv": operator.floordiv,
    "Mod": operator.mod,
}
_COMPARISONS: dict[str, Callable[[Any, Any], bool]] = {
    "Eq": operator.eq,
    "NotEq": operator.ne,
    "Is": operator.is_,
    "IsNot": operator.is_not,
    "Lt": operator.lt,
    "LtE": operator.le,
    "Gt": operator.gt,
    "GtE": operator.ge,
    "In": lambda value, items: _within(items, value),
    "NotIn": lambda value, items: not _within(items, value),
}
_FUNCTIONS: dict[str, Callable[..., Any]] = {
    "int": lambda value: int(_number(value)),
    "min": min,
    "max": max,
    "len": len,
    "sum": sum,
}
_CONSTANTS = {
    "true": True,
    "false": False,
    "null": None,
    FLOAT: FLOAT,
    **{label: label for label in DTYPES},
}
"""Names with a value of their own: JSON's words, and dtypes, which evaluate to themselves."""


def _read(node: Any, names: set[str]) -> Evaluate:  # noqa: ANN401 - any node of the tree
    """Return how a node of Python's syntax tree is evaluated; add its names to `names`."""
    reader = _READERS.get(type(node).__name__)
    if reader is None:
        raise InvalidExpression(f"{type(node).__name__} is not part of this language")
    return reader(node, names)


def _constant(node: Any, _names: set[str]) -> Evaluate:  # noqa: ANN401 - a node
    value = node.value
    if not isinstance(value, int | float | str | None):
        raise InvalidExpression(f"{value!r} is not a value of JSON")
    return lambda _: value


def _name(node: Any, names: set[str]) -> Evaluate:  # noqa: ANN401 - a node
    name = node.id
    if name in _CONSTANTS:
        value = _CONSTANTS[name]
        return lambda _: value
    names.add(name)
    return operator.itemgetter(name)


def _arithmetic(node: Any, names: set[str]) -> Evaluate:  # noqa: ANN401 - a node
    apply = _ARITHMETIC.get(type(node.op).__name__)
    if apply is None:
        raise InvalidExpression(f"{type(node.op).__name__} is not part of this language")
    left, right = _read(node.left, names), _read(node.right, names)
    return lambda values: _number(apply(_number(left(values)), _number(right(values))))


def _unary(node: Any, names: set[str]) -> Evaluate:  # noqa: ANN401 - a node
    operand = _read(node.operand, names)
    if type(node.op).__name__ == "Not":
        return lambda values: not operand(values)
    if type(node.op).__name__ == "USub":
        return lambda values: -_number(operand(values))
    raise InvalidExpression(f"{type(node.op).__name__} is not part of this language")


def _logic(node: Any, names: set[str]) -> Evaluate:  # noqa: ANN401 - a node
    parts = [_read(part, names) for part in node.values]
    is_and = type(node.op).__name__ == "And"
    if len(parts) == 2:  # noqa: PLR2004 - most have two, and need no generator
        first, second = parts
        if is_and:
            return lambda values: bool(first(values) and second(values))
        return lambda values: bool(first(values) or second(values))
    if is_and:
        return lambda values: all(part(values) for part in parts)
    return lambda values: any(part(values) for part in parts)


def _comparison(node: Any, names: set[str]) -> Evaluate:  # noqa: ANN401 - a node
    operands = [_read(one, names) for one in (node.left, *node.comparators)]
    pairs = [
        (_COMPARISONS[type(op).__name__], left, right)
        for op, left, right in zip(node.ops, operands, operands[1:], strict=False)
    ]
    if len(pairs) == 1:
        compare, left, right = pairs[0]
        return lambda values: compare(left(values), right(values))
    return lambda values: all(
        compare(left(values), right(values)) for compare, left, right in pairs
    )


def _choice(node: Any, names: set[str]) -> Evaluate:  # noqa: ANN401 - a node
    condition = _read(node.test, names)
    first, second = _read(node.body, names), _read(node.orelse, names)
    return lambda values: first(values) if condition(values) else second(values)


def _subscript(node: Any, names: set[str]) -> Evaluate:  # noqa: ANN401 - a node
    value, index = _read(node.value, names), _read(node.slice, names)
    return lambda values: value(values)[index(values)]


def _list(node: Any, names: set[str]) -> Evaluate:  # noqa: ANN401 - a node
    items = [_read(one, names) for one in node.elts]
    return lambda values: [item(values) for item in items]


def _call(node: Any, names: set[str]) -> Evaluate:  # noqa: ANN401 - a node
    function = _FUNCTIONS.get(getattr(node.func, "id", ""))
    if function is None or node.keywords:
        raise InvalidExpression("of functions, only int, min, max, len and sum are known")
    arguments = [_read(one, names) for one in node.args]
    return lambda values: function(*(argument(values) for argument in arguments))


_READERS: dict[str, Callable[[Any, set[str]], Evaluate]] = {
    "Constant": _constant,
    "Name": _name,
    "BinOp": _arithmetic,
    "UnaryOp": _unary,
    "BoolOp": _logic,
    "Compare": _comparison,
    "IfExp": _choice,
    "Subscript": _subscript,
    "List": _list,
    "Tuple": _list,
    "Call": _call,
}
