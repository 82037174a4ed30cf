"""Recipe files.

JSON as strict as every other, YAML where it says what JSON can say and every YAML reader reads the
same. PyYAML is loaded for YAML only.
"""

from __future__ import annotations

import importlib
import os
import re
from typing import TYPE_CHECKING, Any, NoReturn

from ckpt_tools.edit.operations import CopyFile, Take
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
"""A recipe has kilobytes."""

MOST = 1000
"""Operations in a recipe. Nobody reviews more, and each is planned against every tensor."""

_TAG = "tag:yaml.org,2002:"
_NUMBER = re.compile(r"-?(0|[1-9][0-9]*)(\.[0-9]+)?([eE][-+]?[0-9]+)?")
_WORDS = {"true": True, "false": False, "null": None, "~": None, "": None}
_QUOTES = "put it in quotes for text; numbers are written as in JSON, and true, false and null in small letters"

type _Lines = dict[str, int]
"""The line on which each value stands, by JSON pointer."""


def read_recipe(path: str) -> tuple[Operation, ...]:
    """Return the operations in the recipe at `path` (.json, .yaml or .yml).

    Relative sources start at its folder.

    Raises RecipeInvalid with path, line and place, or what reading a file raises (PathNotFound,
    NotAFile, Unreadable).
    """
    extension = os.path.splitext(path)[1].lower()
    if extension not in (".json", ".yaml", ".yml"):
        raise RecipeInvalid(
            "is no recipe by its name",
            path=path,
            hint="name a file that ends in .json, .yaml or .yml",
        )
    data = read_whole(path, LIMIT, "a recipe file")
    lines: _Lines = {}
    try:
        text = decode_utf8(data)
        value = _from_json(text, lines) if extension == ".json" else _from_yaml(text, lines)
        found = operations(value)
        if len(found) > MOST:
            _refuse_length(len(found))
    except JsonInvalid as error:
        raise RecipeInvalid(error.what, path=path, hint="correct the recipe") from None
    except RecipeInvalid as error:
        line = _line_of(error.subject, lines) if error.subject else 0
        raise error.at(f"{path}, line {line}" if line else path) from None
    folder, _ = os.path.split(path)
    return tuple(_placed(operation, folder) for operation in found)


def _refuse_length(count: int) -> NoReturn:
    raise RecipeInvalid(
        f"lists {count:,} operations, more than the {MOST:,} that a recipe may have",
        hint="a glob names many tensors at once",
    )


def _placed(operation: Operation, folder: str) -> Operation:
    """Return an operation whose source, if it has one that is relative, starts at `folder`.

    Addresses such as hf://owner/name are none.
    """
    if isinstance(operation, Take | CopyFile) and "://" not in operation.source:
        return operation._replace(source=os.path.join(folder, operation.source))
    return operation


def _line_of(place: str, lines: _Lines) -> int:
    """Return the line of the value at `place` (`operations[2].cast`), or of what holds it.

    0 where none is known.
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
    """Return the value that a YAML text spells.

    What YAML 1.1 and 1.2 read differently, and what JSON cannot say, is refused.
    """
    # PyYAML costs as much as the rest of the command, and is for those who write YAML.
    yaml = importlib.import_module("yaml")
    try:
        _check_events(yaml, text)
        node = yaml.compose(text, Loader=yaml.SafeLoader)
    except yaml.YAMLError as error:
        problem = (
            getattr(error, "problem", None) or getattr(error, "reason", None) or "it cannot be read"
        )
        _refuse(
            f"is no YAML: {problem}", getattr(error, "problem_mark", None), "correct the recipe"
        )
    except (ValueError, OverflowError):
        _refuse("is no YAML: an escape spells no character", None, "correct the recipe")
    return None if node is None else _value(node, "", lines)


def _check_events(yaml: ModuleType, text: str) -> None:
    """Refuse aliases, of which a few lines make gigabytes, tags and depth, before anything is built."""
    depth = 0
    for event in yaml.parse(text, Loader=yaml.SafeLoader):
        if isinstance(event, yaml.AliasEvent):
            _refuse(
                f"the alias *{event.anchor} stands for something written elsewhere",
                event.start_mark,
                "write it out",
            )
        if getattr(event, "tag", None) is not None:
            _refuse(
                f"the tag {event.tag} says something that JSON cannot",
                event.start_mark,
                "leave it out",
            )
        depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(
            event, yaml.CollectionEndEvent
        )
        if depth > DEPTH_LIMIT:
            _refuse(f"nested deeper than {DEPTH_LIMIT}", event.start_mark, "write it flatter")


def _value(node: Any, pointer: str, lines: _Lines) -> Json:  # noqa: ANN401 - PyYAML is loaded late, its nodes have no type here
    lines[pointer] = node.start_mark.line + 1
    if node.id == "sequence":
        return [_value(item, f"{pointer}/{index}", lines) for index, item in enumerate(node.value)]
    return _mapping(node, pointer, lines) if node.id == "mapping" else _scalar(node)


def _mapping(node: Any, pointer: str, lines: _Lines) -> Json:  # noqa: ANN401 - as above
    found: dict[str, Json] = {}
    for key_node, item in node.value:
        key = _scalar(key_node) if key_node.id == "scalar" else None
        if not isinstance(key, str):
            _refuse("a key is no text", key_node.start_mark, "put it in quotes")
        if key in found:
            _refuse(
                f"the key {key!r} stands more than once", key_node.start_mark, "keep one of them"
            )
        found[key] = _value(item, f"{pointer}/{escape(key)}", lines)
    return found


def _scalar(node: Any) -> Json:  # noqa: ANN401 - as above
    """Return a scalar.

    Text in quotes or blocks, JSON's numbers and words, and text that no YAML reader takes for
    anything else.
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
            f"{text!r} is read as {node.tag.removeprefix(_TAG)} by some and as text by others",
            node.start_mark,
            _QUOTES,
        )
    if any("\ud800" <= character <= "\udfff" for character in text):
        _refuse(
            f"the text {text!r} holds half of a surrogate pair",
            node.start_mark,
            "correct the recipe",
        )
    return text


def _refuse(what: str, mark: Any, hint: str) -> NoReturn:  # noqa: ANN401 - as above
    raise RecipeInvalid(
        f"line {mark.line + 1}, column {mark.column + 1}: {what}" if mark else what, hint=hint
    ) from None
