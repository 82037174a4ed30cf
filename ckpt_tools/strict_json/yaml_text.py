"""YAML: the part of it that JSON can express, read strictly; and plain YAML, read as PyYAML does.

PyYAML is imported here and nowhere else, when a text is read: it takes as long as most commands.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, NoReturn

from ckpt_tools.errors import CkptError, RecipeInvalid
from ckpt_tools.strict_json.parse import DEPTH_LIMIT, escape, parse

if TYPE_CHECKING:
    from types import ModuleType

    from ckpt_tools.strict_json.parse import Json

_TAG = "tag:yaml.org,2002:"
_NUMBER = re.compile(r"-?(0|[1-9][0-9]*)(\.[0-9]+)?([eE][-+]?[0-9]+)?")
_WORDS = {"true": True, "false": False, "null": None, "~": None, "": None}
_QUOTES = "put text in quotes; write numbers as in JSON, and true, false and null in lowercase"
_MAX_DEPTH = 50

type Lines = dict[str, int]
"""The line of each value, by JSON pointer."""


def _library() -> ModuleType:
    import yaml  # noqa: PLC0415 - as the module's docstring says

    return yaml


def parse_yaml(text: str, lines: Lines) -> Json:
    """Return the value of a YAML text; `lines` gets the line of each value.

    Raises RecipeInvalid for what YAML 1.1 and 1.2 read differently, and what JSON cannot express.
    """
    yaml = _library()
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


def _value(node: Any, pointer: str, lines: Lines) -> Json:  # noqa: ANN401 - nodes of PyYAML, which is imported late
    lines[pointer] = node.start_mark.line + 1
    if node.id == "sequence":
        return [_value(item, f"{pointer}/{index}", lines) for index, item in enumerate(node.value)]
    return _mapping(node, pointer, lines) if node.id == "mapping" else _scalar(node)


def _mapping(node: Any, pointer: str, lines: Lines) -> Json:  # noqa: ANN401 - as above
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


# --- plain YAML -----------------------------------------------------------------------------------


def plain_yaml(text: str) -> tuple[object, str]:
    """Return the value of a YAML text, and what is wrong with it, "" for nothing.

    Anchors are wrong, because a few lines of them can expand beyond all memory, and so is depth.
    """
    yaml = _library()
    try:
        fault = _bomb(text, yaml)
        return None if fault else yaml.load(text, Loader=yaml.SafeLoader), fault
    except Exception:  # noqa: BLE001 - the library raises a dozen kinds of errors on tags and values that do not fit
        return None, "that is not valid YAML"


def _bomb(text: str, yaml: ModuleType) -> str:
    """Return what would make a text expensive to load, "" for nothing.

    Reading it token by token takes time that is linear in its size.
    """
    opening = (
        *(yaml.FlowSequenceStartToken, yaml.FlowMappingStartToken),
        *(yaml.BlockSequenceStartToken, yaml.BlockMappingStartToken),
    )
    closing = (yaml.FlowSequenceEndToken, yaml.FlowMappingEndToken, yaml.BlockEndToken)
    depth = 0
    for token in yaml.scan(text, Loader=yaml.SafeLoader):
        if isinstance(token, yaml.AnchorToken | yaml.AliasToken):
            return "with anchors or aliases, which can expand beyond all memory"
        depth += isinstance(token, opening) - isinstance(token, closing)
        if depth > _MAX_DEPTH:
            return f"with more than {_MAX_DEPTH} levels of nesting"
    return ""
