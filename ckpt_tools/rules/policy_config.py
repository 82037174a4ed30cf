"""A policy's JSON files: config, features, and the check against a shipped schema.

`departures` reads the part of JSON Schema that the schemas of checkpoint files use. Importing the
jsonschema library takes longer than a whole verification; a test compares the two.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, NamedTuple, TypeGuard

from ckpt_tools.checkpoint.documents import CONFIG
from ckpt_tools.families.lerobot import POLICIES, REWARD_MODELS
from ckpt_tools.strict_json.parse import escape
from ckpt_tools.text import count
from ckpt_tools.text import value as shown

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from ckpt_tools.families.lerobot import Policy
    from ckpt_tools.rules.rule import Subject

STATE, ACTION = "observation.state", "action"
MODES = ("IDENTITY", "MEAN_STD", "MIN_MAX", "QUANTILES", "QUANTILE10")
KINDS = ("STATE", "VISUAL", "ENV", "ACTION", "REWARD", "LANGUAGE")

_LOCAL = re.compile(r"[/~]|\.\.?(?:[/\\]|$)|[A-Za-z]:[/\\]|\\\\|file:", re.ASCII)
_HUB = re.compile(r"[\w.-]+(?:/[\w.-]+)?", re.ASCII)
_URL = re.compile(r"[a-z][a-z0-9+.-]+://", re.ASCII)


class Feature(NamedTuple):
    """A well-formed feature of a policy: its kind, and its shape without the batch."""

    kind: str
    shape: tuple[int, ...]


class Departure(NamedTuple):
    """Something that a schema does not allow; `unknown`: a key that must not exist."""

    pointer: str
    what: str
    unknown: bool = False


def reserved_fields(subject: Subject) -> tuple[str, ...]:
    """Return the fields of reflow training, which stock LeRobot rejects."""
    cleaning = subject.config_family.cleaning
    return cleaning.reserved if cleaning else ()


def is_integer(value: object) -> TypeGuard[int]:
    """Whether LeRobot reads a value as an integer; true and 10.0 are none."""
    return isinstance(value, int) and not isinstance(value, bool)


def is_outside(text: object) -> bool:
    """Whether a string is a path on one machine: absolute, in a home folder, or upwards."""
    return isinstance(text, str) and _LOCAL.match(text) is not None


def is_local_model(text: object) -> bool:
    """Whether a string where a model's name on the Hub belongs is a local path."""
    return (
        isinstance(text, str)
        and text != ""
        and (is_outside(text) or not (_HUB.fullmatch(text) or _URL.match(text)))
    )


def features(value: object) -> dict[str, Feature]:
    """Return the well-formed features of an object, which may be anything."""
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
    """Return the known normalization modes by kind of feature of an object, or of anything."""
    items = value.items() if isinstance(value, dict) else ()
    return {kind: mode for kind, mode in items if isinstance(mode, str) and mode in MODES}


def policy_type(subject: Subject) -> str:
    """Return config.json's `type`, the family's name for SmolVLA's variants, "" for neither."""
    family = subject.family.name
    named = subject.checkpoint.value(CONFIG).get("type")
    return family if family in POLICIES else named if isinstance(named, str) else ""


def policy_of(subject: Subject) -> Policy | None:
    """Return what is known of the policy's type, None for a plugin's and for none."""
    return POLICIES.get(policy_type(subject))


def acts(subject: Subject) -> bool:
    """Whether the checkpoint is a policy; a reward model has the same files and does not act."""
    return policy_type(subject) not in REWARD_MODELS


def widths(subject: Subject) -> Iterator[tuple[str, int]]:
    """Yield (`action`, `state` or a field of config.json, its size in the weights)."""
    policy = policy_of(subject)
    shapes = {tensor.name: tensor.shape for tensor in subject.checkpoint.tensors}
    for name, axis, what in policy.widths if policy else ():
        shape = shapes.get(name) or shapes.get(name.removeprefix("model."), ())
        if axis < len(shape):
            yield what, shape[axis]


def config_modes(subject: Subject) -> dict[str, str]:
    """Return the normalization modes of config.json, its type's own where it has none."""
    config, policy = subject.checkpoint.value(CONFIG), policy_of(subject)
    if "normalization_mapping" in config:
        return modes(config["normalization_mapping"])
    return dict(zip(("VISUAL", "STATE", "ACTION"), policy.modes, strict=True)) if policy else {}


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
    wrong = _fault(value, rule)
    if wrong:
        yield Departure(pointer, wrong)
    elif isinstance(value, dict):
        yield from _of_object(value, rule, schema, pointer)
    elif isinstance(value, list):
        for number, item in enumerate(value):
            yield from _checked(item, rule.get("items", {}), schema, f"{pointer}/{number}")


def _resolved(part: object, schema: Mapping[str, object]) -> dict[str, Any]:
    """Return a part of a schema, or the definition that it refers to."""
    rule: Any = part if isinstance(part, dict) else {}
    definitions = schema.get("$defs")
    if "$ref" in rule and isinstance(definitions, dict):
        rule = definitions.get(str(rule["$ref"]).removeprefix("#/$defs/"))
    return rule if isinstance(rule, dict) else {}


def _fault(value: object, rule: Mapping[str, Any]) -> str:
    """Return what is wrong with a value itself, not with its items; "" for nothing."""
    expected = rule.get("type", [])
    allowed = expected if isinstance(expected, list) else [expected]
    if allowed and not any(_is_a(value, name) for name in allowed):
        return f"is {shown(value)}, expected {' or '.join(allowed)}"
    choices = rule.get("enum", [rule["const"]] if "const" in rule else None)
    if choices is not None and not any(
        type(value) is type(choice) and value == choice for choice in choices
    ):
        return f"is {shown(value)}, expected {' or '.join(map(shown, choices))}"
    low = rule.get("minimum")
    if low is not None and _is_a(value, "number") and value < low:
        return f"is {shown(value)}, expected at least {low}"
    if isinstance(value, list):
        least, most = rule.get("minItems", 0), rule.get("maxItems", len(value))
        if not least <= len(value) <= most:
            return f"has {count(len(value), 'item')}, expected {_span(least, most)}"
    return ""


def _span(least: int, most: int) -> str:
    return str(least) if least == most else f"{least} to {most}"


def _is_a(value: Any, name: str) -> TypeGuard[Any]:  # noqa: ANN401 - JSON is Any by nature
    return isinstance(value, _TYPES[name]) and (name == "boolean" or not isinstance(value, bool))


def _of_object(
    value: dict[str, object], rule: Mapping[str, Any], schema: Mapping[str, object], pointer: str
) -> Iterator[Departure]:
    known, more = rule.get("properties", {}), rule.get("additionalProperties", True)
    for key in rule.get("required", []):
        if key not in value:
            yield Departure(f"{pointer}/{escape(key)}", "is missing")
    for key, item in value.items():
        at = f"{pointer}/{escape(key)}"
        if more is False and key not in known:
            what = "is an unknown field, which LeRobot rejects whatever its value"
            yield Departure(at, what, unknown=True)
        else:
            yield from _checked(item, known.get(key, more), schema, at)
