"""What the generator is told about one family: which fields decide, and how a model is built.

A module `tools/families/LIBRARY*.py` has its families in `RECIPES`. It imports its library inside
functions, so that recipes of libraries that are not installed can be listed.
"""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

NOTHING: Mapping[str, Any] = MappingProxyType({})


class Sample(NamedTuple):
    """One real model.

    `config` is its config.json as the library writes it. `tensors` are safetensors dtype and shape
    by name, as a checkpoint saved by the library has them: of tensors that share memory only the
    one that is kept. `ties` are the names of each group that shares memory.
    """

    config: Mapping[str, object]
    tensors: Mapping[str, tuple[str, tuple[int, ...]]]
    ties: tuple[tuple[str, ...], ...] = ()


class Field(NamedTuple):
    """A value that the tensors depend on.

    `at` is its JSON pointer in config.json. `draw` are the values to draw from: many that share no
    factors for a size, all of them for a `choice`, which decides names. `default` stands for an
    absent key or null: a value, or an expression over other fields as a string.

    What config.json then says counts, not the draw: `build` may turn a draw into another value
    (heads and a multiple into a width). A field without `at` is drawn and not in the file.

    With `of`, the field is about the members of the object at `at` that have these values: their
    number, or, with `first`, what this pointer finds in the first of them. `null` is an expression
    for null where that is not the default.
    """

    name: str
    at: str
    draw: Sequence[object]
    choice: bool = False
    default: object | None = None
    of: Mapping[str, object] = NOTHING
    first: str = ""
    null: str = ""


class Recipe(NamedTuple):
    """How one family is generated.

    `derived` are expressions by name: sizes for short formulas, and conditions. `build` makes the
    real model of draws by field name, on the meta device or saved at toy size; a draw may be left
    out if the field has a default, and the library decides. `extra` is what the file says besides
    what can be found by building (components, renames, processors, loader, blocks of `tensors`,
    more `fields`). If no field has a place in config.json it is the whole file, written by hand
    and confirmed like any other.
    `hints` are more expressions to try, over fields and the indices i, j, k of a name: sizes,
    numbers of layers, and conditions. `samples` is how many models are built, 0 for as many as
    the choices ask for. `optional` are names of tensors that a lawful checkpoint may lack.
    """

    library: str
    key: str
    fields: tuple[Field, ...]
    derived: Mapping[str, str]
    build: Callable[[Mapping[str, object]], Sample]
    extra: Mapping[str, object] | Callable[[], Mapping[str, object]] = NOTHING
    hints: tuple[str, ...] = ()
    samples: int = 0
    optional: tuple[str, ...] = ()
