"""Recipes: a list of operations as JSON or YAML says them, to operations and back.

`schemas/recipe.schema.json` says the same to editors.

An operation is an object with one key, its name. What a schema cannot say is checked here too: that
an expression compiles, that a value is strict JSON.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, NamedTuple, cast

from ckpt_tools.checkpoint.dtype import Dtype
from ckpt_tools.edit import operations as nouns
from ckpt_tools.errors import CkptError, RecipeInvalid
from ckpt_tools.storage.paths import leaves_folder
from ckpt_tools.strict_json.edit import strict
from ckpt_tools.strict_json.parse import kind
from ckpt_tools.strict_json.pointer import nearest, segments

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from ckpt_tools.edit.operations import Operation

_DECIMAL = {f"{letter}B": 1000**power for power, letter in enumerate("kMGT", 1)}
_UNITS = {"B": 1, **_DECIMAL, "KB": 1000} | {
    f"{letter}iB": 1024**power for power, letter in enumerate("KMGT", 1)
}
_SIZE = re.compile(rf"([1-9][0-9]{{0,14}}) ?({'|'.join(_UNITS)})?")


class _Field(NamedTuple):
    """A field of an operation as a recipe spells it.

    The attribute that it is, how it is read (value, place), how it is written.
    """

    attribute: str
    read: Callable[[Any, str], object]
    write: Callable[[Any], object] = lambda value: value


class _Shape(NamedTuple):
    """What stands under an operation's name: an object of `fields`; the one field itself, `bare`.

    Or true where there are none.
    """

    noun: Callable[..., Operation]
    fields: Mapping[str, _Field]
    bare: bool = False


def operations(document: object) -> tuple[Operation, ...]:
    """Return the operations that a parsed recipe lists, in its order.

    Raises RecipeInvalid with the place, such as `operations[2].cast.dtype`.
    """
    recipe = _object(document, "", {"operations": True, "$schema": False})
    _text(recipe.get("$schema", ""), "$schema")
    return tuple(
        _operation(item, f"operations[{index}]")
        for index, item in enumerate(_list(recipe["operations"], "operations"))
    )


def document(listed: Sequence[Operation]) -> dict[str, object]:
    """Return the recipe of operations; what has its default is left out.

    `operations(document(listed)) == tuple(listed)`.
    """
    return {"operations": [_described(item) for item in listed]}


def size(text: str) -> int:
    """Return the bytes that `5GB`, `200 MB`, `1GiB` or `1000` say; 0 for anything else.

    kB to TB are powers of 1000, KiB to TiB of 1024.
    """
    found = _SIZE.fullmatch(text)
    return int(found[1]) * _UNITS[found[2] or "B"] if found else 0


def _operation(item: object, place: str) -> Operation:
    names = _mapping(item, place)
    if len(names) != 1:
        what = f"has {len(names)} keys, and an operation has one, its name"
        raise RecipeInvalid(
            what,
            subject=place,
            hint="make each an item of its own"
            if names
            else f"the operations are {', '.join(_SHAPES)}",
        )
    ((name, value),) = names.items()
    if name not in _SHAPES:
        raise _unknown(name, tuple(_SHAPES), place, "operation")
    shape = _SHAPES[name]
    at = f"{place}.{name}"
    if shape.bare:
        (field,) = shape.fields.values()
        return shape.noun(**{field.attribute: field.read(value, at)})
    if not shape.fields:
        if value is not True:
            raise _wrong(at, value, "true")
        return shape.noun()
    given = _object(
        value,
        at,
        {field: spec.attribute not in _defaults(shape) for field, spec in shape.fields.items()},
    )
    made = shape.noun(
        **{
            shape.fields[field].attribute: shape.fields[field].read(part, f"{at}.{field}")
            for field, part in given.items()
        }
    )
    _check_expression(made, at)
    return made


def _described(item: Operation) -> dict[str, object]:
    name, shape = next((name, shape) for name, shape in _SHAPES.items() if shape.noun is type(item))
    if not shape.fields:
        return {name: True}
    spelled = {
        key: field.write(getattr(item, field.attribute)) for key, field in shape.fields.items()
    }
    if shape.bare:
        return {name: next(iter(spelled.values()))}
    defaults = _defaults(shape)
    return {
        name: {
            key: value
            for key, value in spelled.items()
            if not _is_default(item, shape.fields[key].attribute, defaults)
        }
    }


def _is_default(item: Operation, attribute: str, defaults: Mapping[str, object]) -> bool:
    return attribute in defaults and getattr(item, attribute) == defaults[attribute]


def _defaults(shape: _Shape) -> Mapping[str, object]:
    return cast("Mapping[str, object]", getattr(shape.noun, "_field_defaults", {}))


def _check_expression(made: Operation, place: str) -> None:
    """Refuse a rename whose regular expression, or what it becomes, does not compile."""
    if isinstance(made, nouns.Rename) and made.regex:
        try:
            re.compile(made.match).sub(made.to, "")
        except (re.error, IndexError, RecursionError, OverflowError) as error:
            what = f"is no regular expression with its replacement: {error}"
            raise RecipeInvalid(
                what, subject=place, hint="see Python's re; for globs leave `regex` out"
            ) from None


# --- what may stand in a recipe -------------------------------------------------------------------


def _mapping(value: object, place: str) -> dict[str, object]:
    if not isinstance(value, dict):
        raise _wrong(place, value, "an object", "" if place else 'write {"operations": [\u2026]}')
    for key in value:
        if not isinstance(key, str):
            what = f"the key {key!r} is no text"
            raise RecipeInvalid(what, subject=place or "the recipe", hint="put it in quotes")
    return value


def _object(value: object, place: str, fields: Mapping[str, bool]) -> dict[str, object]:
    """Return `value`, an object with no fields but `fields`, and all those that are required (True)."""
    given = _mapping(value, place)
    for name in given:
        if name not in fields:
            raise _unknown(name, tuple(fields), place, "field")
    lacking = [name for name, required in fields.items() if required and name not in given]
    if lacking:
        what = f"lacks {' and '.join(lacking)}"
        raise RecipeInvalid(
            what, subject=place or "the recipe", hint=f"it takes {', '.join(fields)}"
        )
    return given


def _list(value: object, place: str) -> list[object]:
    if not isinstance(value, list):
        raise _wrong(place, value, "a list")
    return value


def _text(value: object, place: str) -> str:
    if not isinstance(value, str):
        raise _wrong(place, value, "text")
    return value


def _some_text(value: object, place: str) -> str:
    if not _text(value, place):
        what = "is empty"
        raise RecipeInvalid(what, subject=place, hint="say something there")
    return cast("str", value)


def _text_or_null(value: object, place: str) -> str | None:
    return None if value is None else _text(value, place)


def _flag(value: object, place: str) -> bool:
    if not isinstance(value, bool):
        raise _wrong(place, value, "true or false")
    return value


def _globs(value: object, place: str) -> tuple[str, ...]:
    if not _list(value, place):
        what = "is an empty list, and names nothing"
        raise RecipeInvalid(what, subject=place, hint='list globs such as "model.**"')
    return tuple(
        _some_text(glob, f"{place}[{index}]")
        for index, glob in enumerate(cast("list[object]", value))
    )


def _dtype(value: object, place: str) -> Dtype:
    labels = {dtype.label: dtype for dtype in Dtype}
    if _text(value, place) not in labels:
        like = nearest(cast("str", value), tuple(labels))
        what = f"{value!r} is no dtype"
        raise RecipeInvalid(
            what,
            subject=place,
            hint=f"did you mean {like}?" if like else f"the dtypes are {', '.join(labels)}",
        )
    return labels[cast("str", value)]


def _inside(value: object, place: str) -> str:
    if leaves_folder(_some_text(value, place)):
        what = f"{value!r} leads out of the checkpoint's folder"
        raise RecipeInvalid(
            what, subject=place, hint="name a file by its path in the folder, such as config.json"
        )
    return cast("str", value)


def _pointer(value: object, place: str) -> str:
    try:
        segments(_text(value, place))
    except CkptError as error:
        what = f"{value!r} {error.what}"
        raise RecipeInvalid(what, subject=place, hint=error.next) from None
    return cast("str", value)


def _value(value: object, place: str) -> object:
    try:
        return strict(value)
    except CkptError as error:
        raise RecipeInvalid(error.what, subject=place, hint=error.next) from None


def _bytes(value: object, place: str) -> int:
    whole = (
        isinstance(value, int | float)
        and not isinstance(value, bool)
        and value >= 1
        and value == value // 1
    )
    found = int(cast("int", value)) if whole else size(value) if isinstance(value, str) else 0
    if found < 1:
        raise _wrong(
            place,
            value,
            "a size",
            'write a whole number of bytes, or one with a unit: "5GB", "200MB", "1GiB"',
        )
    return found


def _spelled_bytes(value: int) -> object:
    """Return a size with the largest unit that divides it."""
    unit = next((unit for unit in reversed(_DECIMAL) if value % _UNITS[unit] == 0), "")
    text = f"{value // _UNITS[unit]}{unit}" if unit else ""
    return text if size(text) == value else value


def _wrong(place: str, value: object, wanted: str, hint: str = "") -> RecipeInvalid:
    is_json = value is None or isinstance(value, bool | int | float | str | list | dict)
    found = (
        f"a value of the kind {type(value).__name__}" if not is_json else kind(cast("Any", value))
    )
    spelled = f" ({value!r})" if isinstance(value, str | bool | int | float) else ""
    return RecipeInvalid(
        f"is {found}{spelled} where {wanted} is expected",
        subject=place or "the recipe",
        hint=hint or f"write {wanted} there",
    )


def _unknown(name: str, known: tuple[str, ...], place: str, what: str) -> RecipeInvalid:
    like = nearest(name, known)
    hint = f"did you mean {like}?" if like else f"the {what}s are {', '.join(known)}"
    return RecipeInvalid(f"{name!r} is no {what}", subject=place or "the recipe", hint=hint)


_GLOBS = _Field("select", _globs, list)
_FILE, _POINTER, _SOURCE = (
    _Field("path", _inside),
    _Field("pointer", _pointer),
    _Field("source", _some_text),
)

_SHAPES: Mapping[str, _Shape] = {
    "drop": _Shape(nouns.Drop, {"": _GLOBS}, bare=True),
    "keep": _Shape(nouns.Keep, {"": _GLOBS}, bare=True),
    "rename": _Shape(
        nouns.Rename,
        {
            "match": _Field("match", _some_text),
            "to": _Field("to", _text),
            "regex": _Field("regex", _flag),
            "if-free": _Field("if_free", _flag),
        },
    ),
    "unwrap": _Shape(nouns.Unwrap, {}),
    "cast": _Shape(
        nouns.Cast,
        {
            "dtype": _Field("dtype", _dtype, str),
            "select": _GLOBS,
            "lossy": _Field("lossy", _flag),
            "skip": _Field("skip", _flag),
        },
    ),
    "take": _Shape(nouns.Take, {"source": _SOURCE, "select": _GLOBS}),
    "set": _Shape(
        nouns.SetValue, {"file": _FILE, "pointer": _POINTER, "value": _Field("value", _value)}
    ),
    "unset": _Shape(nouns.UnsetValue, {"file": _FILE, "pointer": _POINTER}),
    "rename-key": _Shape(
        nouns.RenameKey, {"file": _FILE, "pointer": _POINTER, "to": _Field("to", _text)}
    ),
    "metadata": _Shape(
        nouns.SetMetadata, {"key": _Field("key", _text), "value": _Field("value", _text_or_null)}
    ),
    "reshard": _Shape(nouns.Reshard, {"max-size": _Field("max_bytes", _bytes, _spelled_bytes)}),
    "merge": _Shape(nouns.Merge, {}),
    "drop-files": _Shape(nouns.DropFile, {"": _GLOBS}, bare=True),
    "copy-file": _Shape(nouns.CopyFile, {"source": _SOURCE, "path": _FILE}),
}
