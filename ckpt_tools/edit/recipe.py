"""Recipes: operations from and to the JSON values that a recipe holds. No I/O.

`schemas/recipe.schema.json` describes the same format to editors. An operation is an object with
one key, its name; its fields are those of its type in `operations`, with `-` for `_`. One that
selects may have `if-any` beside its name. Also checked here, because a schema cannot express it:
regular expressions compile, and values are strict JSON.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import MISSING, fields, replace
from typing import TYPE_CHECKING, Any, cast

from ckpt_tools.checkpoint.dtype import DTYPES
from ckpt_tools.edit import operations as nouns
from ckpt_tools.errors import CkptError, RecipeInvalid
from ckpt_tools.storage.paths import leaves_folder
from ckpt_tools.strict_json.edit import strict
from ckpt_tools.strict_json.parse import kind
from ckpt_tools.strict_json.pointer import nearest, segments

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping, Sequence

    from ckpt_tools.checkpoint.dtype import Dtype
    from ckpt_tools.edit.operations import Operation

_DECIMAL = {f"{letter}B": 1000**power for power, letter in enumerate("kMGT", 1)}
_UNITS = {"B": 1, **_DECIMAL, "KB": 1000} | {
    f"{letter}iB": 1024**power for power, letter in enumerate("KMGT", 1)
}
_SIZE = re.compile(rf"([1-9][0-9]{{0,14}}) ?({'|'.join(_UNITS)})?")


def operations(document: object) -> tuple[Operation, ...]:
    """Read the operations of a parsed recipe, in order.

    Raises RecipeInvalid with the location, such as `operations[2].cast.dtype`.
    """
    recipe = _object(document, "", ("operations", "$schema"), required={"operations"})
    _text(recipe.get("$schema", ""), "$schema")
    return tuple(
        _operation(item, f"operations[{index}]")
        for index, item in enumerate(_list(recipe["operations"], "operations"))
    )


def read_all(listed: object) -> tuple[Operation, ...]:
    """Return operations that are given as records, as the objects of a recipe, or both.

    A whole recipe is a list of them, too. Fields of a record may be as in a recipe, such as "BF16"
    for a dtype, and globs may be one text. Raises RecipeInvalid with the location.
    """
    if isinstance(listed, dict):
        return operations(listed)
    if isinstance(listed, str) or not isinstance(listed, Iterable):
        raise _wrong("operations", listed, "a list")
    return tuple(
        _operation(
            _described(cast("Operation", item)) if type(item) in _RECORDS else item,
            f"operations[{index}]",
        )
        for index, item in enumerate(listed)
    )


def document(listed: Sequence[Operation]) -> dict[str, list[dict[str, object]]]:
    """Convert operations to a recipe; fields with their default value are left out.

    `operations(document(listed)) == tuple(listed)`.
    """
    return {"operations": [_described(item) for item in listed]}


def size(text: str) -> int:
    """Parse `5GB`, `200 MB`, `1GiB` or `1000` to bytes; 0 for anything else.

    kB to TB are powers of 1000, KiB to TiB of 1024.
    """
    found = _SIZE.fullmatch(text)
    return int(found[1]) * _UNITS[found[2] or "B"] if found else 0


def _operation(item: object, place: str) -> Operation:
    names = dict(_mapping(item, place))
    if_any = names.pop(_IF_ANY, None)
    if len(names) != 1:
        raise RecipeInvalid(
            f"expected one key, the name of an operation, but found {len(names)}",
            subject=place,
            hint="make each operation an item of its own"
            if names
            else f"the operations are {', '.join(_OPERATIONS)}",
        )
    ((name, value),) = names.items()
    if name not in _OPERATIONS:
        raise _unknown(name, _OPERATIONS, place, "operation")
    noun, readers = _OPERATIONS[name]
    made = _made(noun, readers, value, f"{place}.{name}")
    if if_any is None:
        return made
    if not isinstance(made, _SELECTING):
        raise RecipeInvalid(
            f"{name} selects no tensors or files", subject=place, hint=f"omit {_IF_ANY}"
        )
    return replace(made, if_any=_flag(if_any, f"{place}.{_IF_ANY}"))


def _made(
    noun: type[Any], readers: Mapping[str, Callable[[Any, str], object]], value: object, place: str
) -> Operation:
    if noun in _BARE:
        return cast("Operation", noun(_globs(value, place)))
    if not readers:
        if value is not True:
            raise _wrong(place, value, "true")
        return cast("Operation", noun())
    required = {_key(field.name) for field in fields(noun) if field.default is MISSING}
    given = _object(value, place, readers, required)
    made = noun(
        **{
            key.replace("-", "_"): readers[key](part, f"{place}.{key}")
            for key, part in given.items()
        }
    )
    _check_expression(made, place)
    return cast("Operation", made)


def _described(item: Operation) -> dict[str, object]:
    name = next(name for name, (noun, _) in _OPERATIONS.items() if noun is type(item))
    lenient: dict[str, object] = {_IF_ANY: True} if getattr(item, "if_any", False) else {}
    if isinstance(item, _BARE):
        return {name: _listed(item.select), **lenient}
    values = {field: getattr(item, field.name) for field in fields(item) if field.name != "if_any"}
    written: object = {
        _key(field.name): _WRITERS[field.name](value) if field.name in _WRITERS else value
        for field, value in values.items()
        if value != field.default
    }
    return {name: written if values else True, **lenient}


def _listed(globs: object) -> object:
    """Return globs as a list; one text is one glob, and what is no globs is for a reader to say."""
    if isinstance(globs, str):
        return [globs]
    return list(globs) if isinstance(globs, Iterable) else globs


def _key(attribute: str) -> str:
    return attribute.replace("_", "-")


def _check_expression(made: Operation, place: str) -> None:
    """Refuse a rename whose regular expression or replacement does not compile."""
    if isinstance(made, nouns.RenameTensors) and made.regex:
        try:
            re.compile(made.match).sub(made.to, "")
        except (re.error, IndexError, RecursionError, OverflowError) as error:
            raise RecipeInvalid(
                f"invalid regular expression or replacement: {error}",
                subject=place,
                hint="see the documentation of Python's re; for globs omit `regex`",
            ) from None


# --- readers of fields: from a value and its location to the value of the field -----------------


def _mapping(value: object, place: str) -> dict[str, object]:
    if not isinstance(value, dict):
        raise _wrong(place, value, "an object", "" if place else 'write {"operations": [\u2026]}')
    for key in value:
        if not isinstance(key, str):
            raise RecipeInvalid(
                f"the key {key!r} is not text",
                subject=place or "the recipe",
                hint="put it in quotes",
            )
    return value


def _object(
    value: object, place: str, known: Collection[str], required: Collection[str]
) -> dict[str, object]:
    """Check that `value` is an object with no keys but `known`, and with all `required` ones."""
    given = _mapping(value, place)
    for name in given:
        if name not in known:
            raise _unknown(name, known, place, "field")
    missing = [name for name in known if name in required and name not in given]
    if missing:
        raise RecipeInvalid(
            f"missing {' and '.join(missing)}",
            subject=place or "the recipe",
            hint=f"the fields are {', '.join(known)}",
        )
    return given


def _typed[T](value: object, place: str, kind: type[T], expected: str) -> T:
    if not isinstance(value, kind):
        raise _wrong(place, value, expected)
    return value


def _list(value: object, place: str) -> list[object]:
    return _typed(value, place, list, "a list")


def _text(value: object, place: str) -> str:
    return _typed(value, place, str, "text")


def _some_text(value: object, place: str) -> str:
    text = _text(value, place)
    if not text:
        raise RecipeInvalid("is empty", subject=place, hint="write some text there")
    return text


def _text_or_null(value: object, place: str) -> str | None:
    return None if value is None else _text(value, place)


def _flag(value: object, place: str) -> bool:
    return _typed(value, place, bool, "true or false")


def _globs(value: object, place: str) -> tuple[str, ...]:
    items = _list(value, place)
    if not items:
        raise RecipeInvalid("is an empty list", subject=place, hint='list globs such as "model.**"')
    return tuple(_some_text(glob, f"{place}[{index}]") for index, glob in enumerate(items))


def _dtype(value: object, place: str) -> Dtype:
    label = _text(value, place)
    if label not in DTYPES:
        raise _unknown(label, DTYPES, place, "dtype")
    return DTYPES[label]


def _inside(value: object, place: str) -> str:
    path = _some_text(value, place)
    if leaves_folder(path):
        raise RecipeInvalid(
            f"{path!r} leads out of the checkpoint's folder",
            subject=place,
            hint="give a path relative to the folder, such as config.json",
        )
    return path


def _pointer(value: object, place: str) -> str:
    pointer = _text(value, place)
    try:
        segments(pointer)
    except CkptError as error:
        raise RecipeInvalid(f"{pointer!r} {error.what}", subject=place, hint=error.next) from None
    return pointer


def _value(value: object, place: str) -> object:
    try:
        return strict(value)
    except CkptError as error:
        raise RecipeInvalid(error.what, subject=place, hint=error.next) from None


def _bytes(value: object, place: str) -> int:
    if isinstance(value, str):
        nbytes = size(value)
    else:
        is_number = isinstance(value, int | float) and not isinstance(value, bool)
        number = cast("float", value) if is_number else 0
        nbytes = int(number) if number >= 1 and number == number // 1 else 0
    if not nbytes:
        raise _wrong(
            place,
            value,
            "a size",
            'write a whole number of bytes, or one with a unit: "5GB", "200MB", "1GiB"',
        )
    return nbytes


def _spelled_bytes(value: int) -> object:
    """Spell a size with the largest unit that divides it."""
    unit = next((unit for unit in reversed(_DECIMAL) if value % _UNITS[unit] == 0), "")
    text = f"{value // _UNITS[unit]}{unit}" if unit else ""
    return text if size(text) == value else value


def _wrong(place: str, value: object, expected: str, hint: str = "") -> RecipeInvalid:
    is_json = value is None or isinstance(value, bool | int | float | str | list | dict)
    found = kind(cast("Any", value)) if is_json else f"a {type(value).__name__}"
    spelled = f" ({value!r})" if isinstance(value, str | bool | int | float) else ""
    return RecipeInvalid(
        f"expected {expected}, found {found}{spelled}",
        subject=place or "the recipe",
        hint=hint or f"write {expected} there",
    )


def _unknown(name: str, known: Collection[str], place: str, what: str) -> RecipeInvalid:
    like = nearest(name, tuple(known))
    hint = f"did you mean {like}?" if like else f"the {what}s are {', '.join(known)}"
    return RecipeInvalid(f"unknown {what} {name!r}", subject=place or "the recipe", hint=hint)


_OPERATIONS: Mapping[str, tuple[type[Any], Mapping[str, Callable[[Any, str], object]]]] = {
    "drop": (nouns.Drop, {"select": _globs}),
    "keep": (nouns.Keep, {"select": _globs}),
    "rename": (
        nouns.RenameTensors,
        {"match": _some_text, "to": _text, "regex": _flag, "if-free": _flag},
    ),
    "unwrap": (nouns.Unwrap, {}),
    "cast": (
        nouns.Cast,
        {"dtype": _dtype, "select": _globs, "lossy": _flag, "skip": _flag, "infinite": _flag},
    ),
    "take": (nouns.Take, {"source": _some_text, "select": _globs}),
    "set": (nouns.SetValue, {"file": _inside, "pointer": _pointer, "value": _value}),
    "unset": (nouns.UnsetValue, {"file": _inside, "pointer": _pointer}),
    "rename-key": (nouns.RenameKey, {"file": _inside, "pointer": _pointer, "to": _text}),
    "metadata": (nouns.SetMetadata, {"key": _text, "value": _text_or_null}),
    "reshard": (nouns.Reshard, {"max-size": _bytes}),
    "merge": (nouns.Merge, {}),
    "drop-files": (nouns.DropFile, {"select": _globs}),
    "copy-file": (nouns.CopyFile, {"source": _some_text, "path": _inside}),
}
"""By name: the operation's type, and how each field is read."""

_RECORDS = frozenset(noun for noun, _ in _OPERATIONS.values())

_BARE = (nouns.Drop, nouns.Keep, nouns.DropFile)
"""Operations that are written as the list of globs itself."""

_SELECTING = (*_BARE, nouns.RenameTensors, nouns.Cast, nouns.Take)
_IF_ANY = "if-any"
"""The key beside an operation that selects: it may match nothing."""

_WRITERS: Mapping[str, Callable[[Any], object]] = {
    "dtype": str,
    "select": _listed,
    "source": lambda path: path.__fspath__() if hasattr(path, "__fspath__") else path,
    "max_size": lambda size: _spelled_bytes(size) if isinstance(size, int) else size,
}
"""By attribute: how a value is written that is not JSON, or not as a person would write it."""
