"""The files of families in `data/`: `data/<library>/<key>.json`, found by the name of the file.

`key` is what a config.json says of itself: LeRobot's `type`, transformers' `model_type`, diffusers'
`_class_name`, timm's `architecture`. Only the file of that name is read. What its expressions mean
for a checkpoint is in `expected`.
"""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, NamedTuple, cast

from ckpt_tools.checkpoint.dtype import DTYPES
from ckpt_tools.families.expression import FLOAT, parse, parse_list
from ckpt_tools.families.family import Component
from ckpt_tools.families.template import parse_template
from ckpt_tools.storage.shipped import family_data

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from ckpt_tools.checkpoint.dtype import Dtype
    from ckpt_tools.families.expression import Expression, Value
    from ckpt_tools.families.template import Template

_LONGEST = 100

type JsonObject = Mapping[str, Value]


class Field(NamedTuple):
    """A name in a family's expressions, and where its value comes from.

    `at` is a JSON pointer into config.json, for one with `first` (pointer, values) into the first
    member there that has these values; `default` is the value, or (a string) an expression, where
    the key is absent or null, and `has_default` whether there is one. `null` is an expression for
    null where that is not the default. `values` are the only ones that the family knows, `least`
    and `most` the limits of a number. `counts` (pointer, values): how many members there have these
    values. `infers`: not in config.json, but what most tensors have, and for one with `under` how
    many numbers there are under that prefix; else `default`; with `own` never what a teacher's copy
    shows. `derived` is an expression.
    """

    name: str
    at: str = ""
    default: Value = None
    has_default: bool = False
    null: Expression | None = None
    values: tuple[Value, ...] = ()
    least: float | None = None
    most: float | None = None
    counts: tuple[str, JsonObject] | None = None
    first: tuple[str, JsonObject] | None = None
    infers: bool = False
    under: str = ""
    own: bool = False
    derived: Expression | None = None


class Block(NamedTuple):
    """Tensors that exist under one condition, with one rule for their dtypes.

    `each` is a condition over the indices of a template. `lawful` are the dtypes that may be
    stored; None for those that follow from `dtype`, none where a rule in code judges them.
    """

    when: Expression | None
    each: Expression | None
    dtype: Expression
    lawful: tuple[str, ...] | None
    optional: bool
    shapes: tuple[tuple[Template, tuple[Expression, ...]], ...]


class Tie(NamedTuple):
    """Names of one and the same tensor, of which writers keep one; templates in parallel."""

    when: Expression | None
    names: tuple[Template, ...]


class Impossible(NamedTuple):
    """A condition under which no model can be built, and the reason with fields in braces."""

    when: Expression
    reason: str


class FamilyFile(NamedTuple):
    """A family as its file has it.

    `names_only`: no shape is known. `fixed_float` is the dtype in which the library builds, saves
    and loads all weights, None where it may be another. `clean` are values of fields in a clean
    checkpoint. `facts` is the whole document, for those parts that others read: loader, processors,
    modes, renames.
    """

    family: str
    library: str
    names_only: bool
    fixed_float: Dtype | None
    fields: Mapping[str, Field]
    blocks: tuple[Block, ...]
    ties: tuple[Tie, ...]
    impossible: tuple[Impossible, ...]
    components: tuple[tuple[Component, tuple[str, ...]], ...]
    decisive: frozenset[str]
    clean: JsonObject
    facts: JsonObject

    @property
    def loader(self) -> Mapping[str, str]:
        """What the stock loader does with a missing, unexpected or misshapen tensor."""
        return cast("Mapping[str, str]", self.facts.get("loader") or {})

    @property
    def folded_names(self) -> frozenset[str]:
        """The folded names of the tensors that the family has with any config.json."""
        return frozenset(template.folded for block in self.blocks for template, _ in block.shapes)

    def depends(self, names: Collection[str], wanted: Collection[str]) -> bool:
        """Whether one of the fields `names` is one of `wanted`, or derived from it."""
        fields = (self.fields.get(name) for name in names if name not in wanted)
        inner = (one.derived.names for one in fields if one and one.derived)
        return any(name in wanted for name in names) or any(
            self.depends(one, wanted) for one in inner
        )

    def key_of(self, name: str) -> str:
        """Return the keys of config.json that decide a field, for messages."""
        return ", ".join(dict.fromkeys(self._keys(name, frozenset())))

    def _keys(self, name: str, seen: frozenset[str]) -> list[str]:
        field = self.fields.get(name)
        if field is None or name in seen:
            return []
        if field.at or field.counts:
            at, _ = field.first or field.counts or (field.at, {})
            return [at.removeprefix("/").replace("/", ".")]
        inner = sorted(field.derived.names) if field.derived else []
        return [key for one in inner for key in self._keys(one, seen | {name})]


@lru_cache(maxsize=16)
def load(library: str, key: str) -> FamilyFile | None:
    """Return the family that a config.json of `library` calls `key`; None if there is no file."""
    if not _is_file_name(key):
        return None
    document = family_data(library, key)
    # A file system that ignores case finds the file of another key.
    return read(document) if document and document.get("family") == key else None


def _is_file_name(key: str) -> bool:
    """Whether a key is one plain name: letters, digits and a few signs, and no dot at the start."""
    letters = key.translate({ord(sign): None for sign in "_.-"})
    return letters.isalnum() and key.isascii() and key[0].isalnum() and len(key) <= _LONGEST


def read(document: JsonObject) -> FamilyFile:
    """Return the family of a file's content, which must match its schema."""
    given = cast("dict[str, dict[str, Value]]", document.get("fields", {}))
    return FamilyFile(
        family=str(document["family"]),
        library=str(document["library"]),
        names_only=document.get("state") == "names",
        fixed_float=DTYPES[str(document["float"])] if "float" in document else None,
        fields={name: _field(name, one) for name, one in given.items()},
        blocks=tuple(map(_block, _objects(document, "tensors"))),
        ties=tuple(map(_tie, _objects(document, "ties"))),
        impossible=tuple(
            Impossible(parse(cast("str", one["when"])), cast("str", one["reason"]))
            for one in _objects(document, "impossible")
        ),
        components=tuple(map(_component, _objects(document, "components"))),
        decisive=frozenset(cast("list[str]", document.get("decisive", ()))),
        clean=cast("JsonObject", document.get("clean", {})),
        facts=document,
    )


def _objects(document: JsonObject, key: str) -> list[dict[str, Value]]:
    return cast("list[dict[str, Value]]", document.get(key, []))


def _field(name: str, given: dict[str, Value]) -> Field:
    return Field(
        name=name,
        at=cast("str", given.get("at", "")),
        default=given.get("infer", given.get("default")),
        has_default="default" in given,
        null=parse(cast("str", given["null"])) if "null" in given else None,
        values=tuple(cast("list[Value]", given.get("values", ()))),
        least=cast("float | None", given.get("least")),
        most=cast("float | None", given.get("most")),
        counts=_members(given, "count"),
        first=_members(given, "first"),
        infers="infer" in given,
        under=cast("str", given.get("under", "")),
        own=given.get("own") is True,
        derived=parse(cast("str", given["is"])) if "is" in given else None,
    )


def _members(given: dict[str, Value], key: str) -> tuple[str, JsonObject] | None:
    if key not in given:
        return None
    return cast("str", given[key]), cast("JsonObject", given.get("of", {}))


def _block(given: dict[str, Value]) -> Block:
    shapes = cast("dict[str, str]", given["shapes"])
    return Block(
        when=_condition(given, "when"),
        each=_condition(given, "each"),
        dtype=parse(cast("str", given.get("dtype", FLOAT))),
        lawful=tuple(cast("list[str]", given["lawful"])) if "lawful" in given else None,
        optional=given.get("optional") is True,
        shapes=tuple((parse_template(name), parse_list(sizes)) for name, sizes in shapes.items()),
    )


def _condition(given: dict[str, Value], key: str) -> Expression | None:
    return parse(cast("str", given[key])) if key in given else None


def _tie(given: dict[str, Value]) -> Tie:
    names = cast("list[str]", given["names"])
    return Tie(_condition(given, "when"), tuple(map(parse_template, names)))


def _component(given: dict[str, Value]) -> tuple[Component, tuple[str, ...]]:
    title = cast("str", given["title"])
    component = Component(cast("str", given["key"]), title, cast("str", given.get("short", title)))
    return component, tuple(cast("list[str]", given.get("prefixes", ())))
