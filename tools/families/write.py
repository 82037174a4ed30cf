"""Spells a family's file: merges literal numbers, groups templates into blocks, one on a line."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, cast

from ckpt_tools.families.expression import parse, parse_list
from ckpt_tools.families.template import parse_template
from tools.families.solve import written
from tools.families.spellings import spellings

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from tools.families.recipe import Field, Recipe
    from tools.families.solve import Found, Piece

type Fields = dict[str, dict[str, object]]

_SCHEMA = "ckpt-tools/family.schema.json"
_WIDTH = 100


def document(
    recipe: Recipe,
    versions: Mapping[str, str],
    found: Sequence[Found],
    ties: Sequence[tuple[str, tuple[tuple[Piece, ...], ...]]],
) -> dict[str, object]:
    """Return a family's file. Of names that share memory the one that is kept is the first."""
    extra = dict(recipe.extra() if callable(recipe.extra) else recipe.extra)
    blocks = [*_blocks(_merged(found), recipe.optional), *extra.pop("tensors", ())]  # type: ignore[misc]  # a list, as the format says
    tied = [_tie(when, names, recipe.library) for when, names in ties]
    tied += cast("list[dict[str, object]]", extra.pop("ties", []))
    fields = _fields(recipe, cast("Fields", extra.pop("fields", {})), blocks, tied)
    return {
        "$schema": _SCHEMA,
        "version": 1,
        "family": recipe.key,
        "library": recipe.library,
        "generated_with": dict(versions),
        "state": "formulas",
        "fields": fields,
        "tensors": blocks,
        **({"ties": tied} if tied else {}),
        "decisive": _decisive(fields),
        **extra,
        **_spellings(recipe),
    }


def _spellings(recipe: Recipe) -> dict[str, object]:
    """Return the member `spellings`, none for a family whose names were not followed."""
    found = spellings(recipe.library, recipe.key)
    return {"spellings": found} if found else {}


def text(content: Mapping[str, object]) -> str:
    """Return JSON in which a short value has one line, and every template has its own."""
    return _spelled(content, 0, broken=True) + "\n"


def _spelled(value: object, depth: int, *, broken: bool = False) -> str:
    line = json.dumps(value, ensure_ascii=False)
    if not isinstance(value, dict | list) or not value:
        return line
    if not broken and len(line) + 2 * depth < _WIDTH - 20:
        return line
    inner = "  " * (depth + 1)
    if isinstance(value, dict):
        lines = [
            f"{inner}{json.dumps(key, ensure_ascii=False)}: "
            + _spelled(one, depth + 1, broken=key in {"shapes", "tensors"} and len(str(one)) > 2)  # noqa: PLR2004 - not empty
            for key, one in value.items()
        ]
        return "{\n" + ",\n".join(lines) + "\n" + "  " * depth + "}"
    lines = [inner + _spelled(one, depth + 1, broken=_has_shapes(one)) for one in value]
    return "[\n" + ",\n".join(lines) + "\n" + "  " * depth + "]"


def _has_shapes(value: object) -> bool:
    return isinstance(value, dict) and "shapes" in value


# --- templates ----------------------------------------------------------------------------


def _merged(found: Sequence[Found]) -> list[tuple[Found, str]]:
    """Return (template, its text) with literal numbers of equal formulas merged, place by place."""
    alike: dict[object, list[Found]] = {}
    for one in found:
        pieces = tuple(None if isinstance(piece, int) else piece for piece in one.pieces)
        alike.setdefault(one._replace(pieces=pieces), []).append(one)  # type: ignore[arg-type]  # a key, with holes
    return [
        (members[0], _text(members[0].pieces, product))
        for members in alike.values()
        for product in _products([_numbers(member.pieces) for member in members])
    ]


def _numbers(pieces: Sequence[Piece]) -> tuple[tuple[int, ...], ...]:
    return tuple((piece,) for piece in pieces if isinstance(piece, int))


def _products(rows: Sequence[tuple[tuple[int, ...], ...]]) -> list[tuple[tuple[int, ...], ...]]:
    """Return sets of numbers by place whose products are these rows."""
    current = list(dict.fromkeys(rows))
    for place in reversed(range(len(current[0]))):
        alike: dict[tuple[tuple[tuple[int, ...], ...], ...], list[int]] = {}
        for row in current:
            alike.setdefault((row[:place], row[place + 1 :]), []).extend(row[place])
        current = [
            (*before, tuple(sorted(set(numbers))), *after)
            for (before, after), numbers in alike.items()
        ]
    return current


def _text(pieces: Sequence[Piece], numbers: Sequence[tuple[int, ...]]) -> str:
    left = iter(numbers)
    return written([_span(next(left)) if isinstance(one, int) else one for one in pieces])


def _span(numbers: tuple[int, ...]) -> str:
    if len(numbers) == 1:
        return str(numbers[0])
    if len(numbers) > 2 and numbers[-1] - numbers[0] == len(numbers) - 1:  # noqa: PLR2004 - 0,1 is shorter
        return f"{{{numbers[0]}..{numbers[-1]}}}"
    return f"{{{','.join(map(str, numbers))}}}"


def _blocks(
    merged: Sequence[tuple[Found, str]], optional: Sequence[str]
) -> list[dict[str, object]]:
    blocks: dict[tuple[str, str, str, bool], dict[str, str]] = {}
    for one, name in merged:
        kind = one.when, one.each, one.dtype, name in optional
        blocks.setdefault(kind, {})[name] = one.shape
    return [
        {
            **({"when": when} if when else {}),
            **({"each": each} if each else {}),
            **({"dtype": dtype} if dtype else {}),
            **({"optional": True} if may_lack else {}),
            "shapes": shapes,
        }
        for (when, each, dtype, may_lack), shapes in blocks.items()
    ]


def _tie(when: str, names: tuple[tuple[Piece, ...], ...], library: str) -> dict[str, object]:
    """Return a group of names; LeRobot's save_pretrained is safetensors' save_model."""
    texts = [written(pieces) for pieces in names]
    first = texts[0] if library == "lerobot" else min(texts)
    return {
        **({"when": when} if when else {}),
        "names": texts,
        "kept": {"save_pretrained": texts[0], "save_model": first},
    }


# --- fields -------------------------------------------------------------------------------


def field_entry(field: Field) -> dict[str, object]:
    """Return what the file says of a field of config.json."""
    entry: dict[str, object] = {"at": field.at}
    if field.first:
        entry = {"first": field.at, "of": dict(field.of), "at": field.first}
    elif field.of:
        return {"count": field.at, "of": dict(field.of)}
    if field.default is not None:
        is_word = isinstance(field.default, str) and field.default in field.draw
        entry["default"] = repr(field.default) if is_word else field.default
    if field.null:
        entry["null"] = field.null
    if field.choice and sorted(map(repr, field.draw)) != ["False", "True"]:
        entry["values"] = list(field.draw)
    return entry


def _fields(
    recipe: Recipe, guards: Fields, blocks: Sequence[object], ties: Sequence[object]
) -> Fields:
    """Return the fields that expressions use, and those of which some values are unknown."""
    every = {field.name: field_entry(field) for field in recipe.fields if field.at}
    every |= {name: {"is": expression} for name, expression in recipe.derived.items()}
    every |= guards
    waiting = [name for names in _expressions([*blocks, *ties]) for name in names]
    waiting += [name for name, entry in every.items() if "values" in entry]
    used: set[str] = set()
    while waiting:
        name = waiting.pop()
        if name in every and name not in used:
            used.add(name)
            texts = [every[name].get("is"), every[name].get("default")]
            waiting += [n for text in texts if isinstance(text, str) for n in parse(text).names]
    return {name: entry for name, entry in every.items() if name in used}


def _decisive(fields: Mapping[str, Mapping[str, object]]) -> list[str]:
    """Return the keys at the top of config.json that the fields are read from."""
    pointers = [
        entry.get("first", entry.get("count", entry.get("at"))) for entry in fields.values()
    ]
    return sorted({str(pointer).split("/")[1] for pointer in pointers if pointer})


def _expressions(parts: Sequence[object]) -> Iterator[frozenset[str]]:
    """Yield the names in all expressions of blocks and ties."""
    for part in parts:
        assert isinstance(part, dict)  # noqa: S101 - made above, or by a recipe
        for key in ("when", "each", "dtype"):
            if key in part:
                yield parse(part[key]).names
        for name in [*part.get("shapes", ()), *part.get("names", ())]:
            for one in parse_template(name).ranges:
                if one.below is not None:
                    yield one.below.names
        for shape in part.get("shapes", {}).values():
            yield from (size.names for size in parse_list(shape))
