"""Recipe files: strict JSON, or the part of YAML that JSON can express.

YAML that versions 1.1 and 1.2 read differently is refused. PyYAML is imported for YAML only.
"""

from __future__ import annotations

import os
import re
from functools import partial
from typing import TYPE_CHECKING, Any, NoReturn

from ckpt_tools.edit.operations import with_local_source
from ckpt_tools.edit.recipe import operations
from ckpt_tools.errors import CkptError, JsonInvalid, RecipeInvalid
from ckpt_tools.storage.files import read_whole
from ckpt_tools.strict_json.parse import DEPTH_LIMIT, decode_utf8, escape, parse
from ckpt_tools.strict_json.spans import spans

if TYPE_CHECKING:
    from types import ModuleType

    from ckpt_tools.edit.operations import Operation
    from ckpt_tools.strict_json.parse import Json

LIMIT = 1 << 20
"""Bytes of a recipe file; a usual one has kilobytes."""

MOST = 1000
"""Operations in a recipe: each is planned against every tensor."""

_TAG = "tag:yaml.org,2002:"
_NUMBER = re.compile(r"-?(0|[1-9][0-9]*)(\.[0-9]+)?([eE][-+]?[0-9]+)?")
_WORDS = {"true": True, "false": False, "null": None, "~": None, "": None}
_QUOTES = "put text in quotes; write numbers as in JSON, and true, false and null in lowercase"

type _Lines = dict[str, int]
"""The line of each value, by JSON pointer."""


def read_recipe(path: str) -> tuple[Operation, ...]:
    """Read the operations in the recipe at `path` (.json, .yaml or .yml).

    Relative sources start at its folder.

    Raises RecipeInvalid with path, line and location, or the errors of reading a file
    (PathNotFound, NotAFile, Unreadable).
    """
    extension = os.path.splitext(path)[1].lower()
    if extension not in (".json", ".yaml", ".yml"):
        raise RecipeInvalid(
            "not a recipe: its name does not end in .json, .yaml or .yml",
            path=path,
            hint="rename it, or give a recipe file",
        )
    lines: _Lines = {}
    data = read_whole(path, LIMIT, "a recipe file")
    try:
        text = decode_utf8(data)
        found = operations(
            _from_json(text, lines) if extension == ".json" else _from_yaml(text, lines)
        )
    except JsonInvalid as error:
        raise RecipeInvalid(error.what, path=path, hint="correct the recipe") from None
    except RecipeInvalid as error:
        line = _line_of(error.subject, lines) if error.subject else 0
        raise error.at(f"{path}, line {line}" if line else path) from None
    if len(found) > MOST:
        raise RecipeInvalid(
            f"has {len(found):,} operations, more than the limit of {MOST:,}",
            path=path,
            hint="a glob can select many tensors at once",
        )
    resolve = partial(os.path.join, os.path.dirname(path))
    return tuple(with_local_source(operation, resolve) for operation in found)


def _line_of(place: str, lines: _Lines) -> int:
    """Return the line of the value at `place` (`operations[2].cast`) or of its container.

    0 if unknown.
    """
    pointer = "".join(f"/{part}" for part in re.findall(r"[^.\[\]]+", place))
    while pointer and pointer not in lines:
        pointer = pointer.rpartition("/")[0]
    return lines.get(pointer, 0)


def _from_json(text: str, lines: _Lines) -> Json:
    value = parse(text)
    line, at = 1, 0
    for pointer, member in sorted(spans(text).items(), key=lambda item: item[1].value):
        line, at = line + text.count("\n", at, member.value[0]), member.value[0]
        lines[pointer] = line
    return value


# --- YAML -----------------------------------------------------------------------------------------


def _from_yaml(text: str, lines: _Lines) -> Json:
    """Return the value of a YAML text.

    Refuses what YAML 1.1 and 1.2 read differently, and what JSON cannot express.
    """
    import yaml  # noqa: PLC0415 - for YAML recipes only: it takes as long as the rest of a command

    try:
        _check_events(yaml, text)
        node = yaml.compose(text, Loader=yaml.SafeLoader)
    except yaml.YAMLError as error:
        problem = (
            getattr(error, "problem", None) or getattr(error, "reason", None) or "it cannot be read"
        )
        mark = getattr(error, "problem_mark", None)
        _refuse(f"invalid YAML: {problem}", mark, "correct the recipe")
    except (ValueError, OverflowError):
        _refuse("invalid YAML: an escape sequence is not a character", None, "correct the recipe")
    return None if node is None else _value(node, "", lines)


def _check_events(yaml: ModuleType, text: str) -> None:
    """Refuse aliases, which can expand to gigabytes, tags and depth, before values are built."""
    depth = 0
    for event in yaml.parse(text, Loader=yaml.SafeLoader):
        if isinstance(event, yaml.AliasEvent):
            _refuse(
                f"the alias *{event.anchor} is not supported",
                event.start_mark,
                "write out the value",
            )
        if getattr(event, "tag", None) is not None:
            _refuse(
                f"the tag {event.tag} is not supported",
                event.start_mark,
                "omit it",
            )
        depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(
            event, yaml.CollectionEndEvent
        )
        if depth > DEPTH_LIMIT:
            _refuse(f"nested deeper than {DEPTH_LIMIT}", event.start_mark, "reduce the nesting")


def _value(node: Any, pointer: str, lines: _Lines) -> Json:  # noqa: ANN401 - nodes of PyYAML, which is imported late
    lines[pointer] = node.start_mark.line + 1
    if node.id == "sequence":
        return [_value(item, f"{pointer}/{index}", lines) for index, item in enumerate(node.value)]
    return _mapping(node, pointer, lines) if node.id == "mapping" else _scalar(node)


def _mapping(node: Any, pointer: str, lines: _Lines) -> Json:  # noqa: ANN401 - as above
    found: dict[str, Json] = {}
    for key_node, item in node.value:
        key = _scalar(key_node) if key_node.id == "scalar" else None
        if not isinstance(key, str):
            _refuse("a key is not text", key_node.start_mark, "put it in quotes")
        if key in found:
            _refuse(f"repeated key {key!r}", key_node.start_mark, "keep one of them")
        found[key] = _value(item, f"{pointer}/{escape(key)}", lines)
    return found


def _scalar(node: Any) -> Json:  # noqa: ANN401 - as above
    """Return the value of a scalar.

    Text in quotes or blocks, numbers and words of JSON, and text that every YAML reader reads as
    text.
    """
    text, is_plain, is_text = str(node.value), node.style is None, node.tag == f"{_TAG}str"
    if is_plain and text in _WORDS:
        return _WORDS[text]
    if is_plain and _NUMBER.fullmatch(text):
        try:
            return parse(text)
        except CkptError as error:
            _refuse(error.what, node.start_mark, _QUOTES)
    if not is_text:
        _refuse(
            f"{text!r} is ambiguous: some YAML readers read it as {node.tag.removeprefix(_TAG)}",
            node.start_mark,
            _QUOTES,
        )
    if any("\ud800" <= character <= "\udfff" for character in text):
        _refuse(
            f"the text {text!r} contains half of a surrogate pair",
            node.start_mark,
            "correct the recipe",
        )
    return text


def _refuse(what: str, mark: Any, hint: str) -> NoReturn:  # noqa: ANN401 - as above
    raise RecipeInvalid(
        f"line {mark.line + 1}, column {mark.column + 1}: {what}" if mark else what, hint=hint
    ) from None
