"""What rules about a policy's JSON files share.

Its config and features, words for values, and what a shipped schema does not allow.

`departures` reads the part of JSON Schema that the shipped schemas of checkpoint files use. The
jsonschema library takes longer to import than a whole verification; a test holds the two against
each other.
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, NamedTuple, TypeGuard

from ckpt_tools.strict_json.parse import escape

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from ckpt_tools.rules.rule import Subject

CONFIG, TRAIN_CONFIG = "config.json", "train_config.json"
SMOLVLA = frozenset({"smolvla"})
STATE, ACTION = "observation.state", "action"
MODES = ("IDENTITY", "MEAN_STD", "MIN_MAX", "QUANTILES", "QUANTILE10")
KINDS = ("STATE", "VISUAL", "ENV", "ACTION", "REWARD", "LANGUAGE")
DEFAULT_MODES = {"VISUAL": "IDENTITY", "STATE": "MEAN_STD", "ACTION": "MEAN_STD"}
"""What SmolVLA's config has where config.json says nothing."""

_WIDTH = 60
_LOCAL = re.compile(r"[/~]|\.\.?(?:[/\\]|$)|[A-Za-z]:[/\\]|\\\\|file:", re.ASCII)
_HUB = re.compile(r"[\w.-]+(?:/[\w.-]+)?", re.ASCII)
_URL = re.compile(r"[a-z][a-z0-9+.-]+://", re.ASCII)


class Feature(NamedTuple):
    """A well-formed feature of a policy.

    What kind of thing it is, and its shape without the batch.
    """

    kind: str
    shape: tuple[int, ...]


class Departure(NamedTuple):
    """What a schema does not allow: where, and what is wrong with it.

    `unknown` says that it is a key that must not be there.
    """

    pointer: str
    what: str
    unknown: bool = False


def value_of(subject: Subject, path: str) -> Mapping[str, object]:
    """Return the object in the JSON file `path`, an empty one where there is no such file."""
    document = subject.checkpoint.document(path)
    return document.value if document else {}


def is_integer(value: object) -> TypeGuard[int]:
    """Whether LeRobot takes a value for an integer without a second look.

    JSON's true is none, and neither is 10.0.
    """
    return isinstance(value, int) and not isinstance(value, bool)


def shown(value: object) -> str:
    """Return a JSON value on one line, cut where it is long."""
    text = json.dumps(value)
    return text if len(text) <= _WIDTH else f"{text[: _WIDTH - 1]}…"


def is_outside(text: object) -> bool:
    """Whether a string is a path that says where something lies on somebody's machine.

    Absolute, in a home, or up and out.
    """
    return isinstance(text, str) and _LOCAL.match(text) is not None


def is_local_model(text: object) -> bool:
    """Whether a string that should name a model on the Hub is a path instead."""
    return (
        isinstance(text, str)
        and text != ""
        and (is_outside(text) or not (_HUB.fullmatch(text) or _URL.match(text)))
    )


def features(value: object) -> dict[str, Feature]:
    """Return the well-formed features in what should be an object of them."""
    found: dict[str, Feature] = {}
    for name, feature in value.items() if isinstance(value, dict) else ():
        kind, shape = (
            (feature.get("type"), feature.get("shape"))
            if isinstance(feature, dict)
            else (None, None)
        )
        if (
            isinstance(kind, str)
            and kind in KINDS
            and isinstance(shape, list)
            and all(is_integer(size) and size > 0 for size in shape)
        ):
            found[name] = Feature(kind, tuple(shape))
    return found


def modes(value: object) -> dict[str, str]:
    """Return the known normalisation modes by kind of feature, in what should be an object of them."""
    items = value.items() if isinstance(value, dict) else ()
    return {kind: mode for kind, mode in items if isinstance(mode, str) and mode in MODES}


def config_modes(subject: Subject) -> dict[str, str]:
    """Return the normalisation modes that config.json says, SmolVLA's own where it says nothing."""
    config = value_of(subject, CONFIG)
    return (
        modes(config["normalization_mapping"])
        if "normalization_mapping" in config
        else DEFAULT_MODES
    )


# --- schemas --------------------------------------------------------------------------------------

_TYPES: dict[str, tuple[type, ...]] = {
    "object": (dict,),
    "array": (list,),
    "string": (str,),
    "boolean": (bool,),
    "null": (type(None),),
    "integer": (int,),
    "number": (int, float),
}


def departures(value: object, schema: Mapping[str, object]) -> Iterator[Departure]:
    """Yield what `schema` does not allow in `value`."""
    return _checked(value, schema, schema, "")


def _checked(
    value: object, part: object, schema: Mapping[str, object], pointer: str
) -> Iterator[Departure]:
    rule = _resolved(part, schema)
    wrong = _of_itself(value, rule)
    if wrong:
        yield Departure(pointer, wrong)
    elif isinstance(value, dict):
        yield from _of_object(value, rule, schema, pointer)
    elif isinstance(value, list):
        for number, item in enumerate(value):
            yield from _checked(item, rule.get("items", {}), schema, f"{pointer}/{number}")


def _resolved(part: object, schema: Mapping[str, object]) -> dict[str, object]:
    """Return a part of a schema, or the definition that it refers to."""
    rule = part if isinstance(part, dict) else {}
    reference, definitions = rule.get("$ref"), schema.get("$defs")
    found = (
        definitions.get(str(reference).removeprefix("#/$defs/"))
        if reference and isinstance(definitions, dict)
        else rule
    )
    return found if isinstance(found, dict) else {}


def _of_itself(value: object, rule: Mapping[str, object]) -> str:
    """Return what is wrong with a value, whatever it holds; "" for nothing."""
    expected = rule.get("type", [])
    allowed = expected if isinstance(expected, list) else [expected]
    if allowed and not any(_is_a(value, str(name)) for name in allowed):
        return f"is {shown(value)} where {' or '.join(map(str, allowed))} is expected"
    choices = rule.get("enum", [rule["const"]] if "const" in rule else None)
    if isinstance(choices, list) and not any(
        type(value) is type(choice) and value == choice for choice in choices
    ):
        return f"is {shown(value)} where {' or '.join(map(shown, choices))} is expected"
    low = rule.get("minimum")
    if (
        isinstance(low, int | float)
        and isinstance(value, int | float)
        and not isinstance(value, bool)
        and value < low
    ):
        return f"is {shown(value)}, and must be at least {low}"
    least, most = (
        rule.get("minItems", 0),
        rule.get("maxItems", len(value) if isinstance(value, list) else 0),
    )
    if (
        isinstance(value, list)
        and isinstance(least, int)
        and isinstance(most, int)
        and not least <= len(value) <= most
    ):
        return f"has {len(value)} values where {least if least == most else f'{least} to {most}'} are expected"
    return ""


def _is_a(value: object, name: str) -> bool:
    return isinstance(value, _TYPES[name]) and (name == "boolean" or not isinstance(value, bool))


def _of_object(
    value: dict[str, object], rule: Mapping[str, object], schema: Mapping[str, object], pointer: str
) -> Iterator[Departure]:
    known, more, required = (
        rule.get("properties", {}),
        rule.get("additionalProperties", True),
        rule.get("required", []),
    )
    for key in required if isinstance(required, list) else ():
        if key not in value:
            yield Departure(f"{pointer}/{escape(key)}", "is not there, and must be")
    for key, item in value.items():
        place = f"{pointer}/{escape(key)}"
        if isinstance(known, dict) and key in known:
            yield from _checked(item, known[key], schema, place)
        elif more is False:
            yield Departure(
                place, "is no field that LeRobot knows here, whatever its value", unknown=True
            )
        else:
            yield from _checked(item, more, schema, place)
