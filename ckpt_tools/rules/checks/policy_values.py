"""Values in a policy's config.json that stock LeRobot rejects, or that break inference."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ckpt_tools.checkpoint.documents import CONFIG
from ckpt_tools.families.kinds import Kind
from ckpt_tools.families.smolvla.facts import SMOLVLA
from ckpt_tools.rules.coverage import Covered, Question
from ckpt_tools.rules.finding import Need, Severity
from ckpt_tools.rules.policy_config import (
    ACTION,
    KINDS,
    MODES,
    STATE,
    departures,
    features,
    is_integer,
)
from ckpt_tools.rules.processors import NORMALIZER, UNNORMALIZER, steps
from ckpt_tools.rules.remedy import set_config
from ckpt_tools.rules.rule import Violation, rule
from ckpt_tools.strict_json.parse import escape
from ckpt_tools.text import value as shown

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from ckpt_tools.rules.rule import Subject

_OWN_RULES = (
    *("type", "load_vlm_weights", "use_cache", "num_steps", "chunk_size", "n_action_steps"),
    *("normalization_mapping", "input_features", "output_features"),
)
"""Fields whose values have rules of their own."""

_STEPS, _WIDEST = 10, 32
"""SmolVLA's defaults for num_steps and the padded width of a vector."""

_TYPE = "write a value of that type"
_MANY = 50
"""Steps of denoising above which more gain nothing."""

_INPUT, _OUTPUT = "input_features", "output_features"


@rule("CK706", "config-value", Severity.ERROR, needs=Need.CONFIG, families=(SMOLVLA.name,))
def config_value(subject: Subject) -> Iterator[Violation]:
    """Config value of the wrong type.

    LeRobot rejects a string where a number belongs, and 10.0 where an integer does. It accepts null
    anywhere and fails on it later, while building or running the policy. A number or a boolean in
    quotes is read as what it spells: that is a warning, since other readers may reject it.

    Write the value as `ckpt config WHERE validate` expects it.

    Bad:

        {"type": "smolvla", "n_obs_steps": 1.0}

    Good:

        {"type": "smolvla", "n_obs_steps": 1}
    """
    config, schema = subject.checkpoint.value(CONFIG), {**subject.schema("smolvla-config")}
    schema.pop("required", None)
    for found in departures(config, schema):
        key = found.pointer.split("/")[1] if found.pointer else ""
        if not found.unknown and key not in _OWN_RULES:
            severity = Severity.WARNING if _spells_a_value(config.get(key)) else None
            yield Violation(found.what, CONFIG, found.pointer, _TYPE, severity)


def _spells_a_value(value: object) -> bool:
    """Whether a string spells a number or a boolean."""
    return isinstance(value, str) and (
        value in ("true", "false") or value.removeprefix("-").replace(".", "", 1).isdecimal()
    )


@rule(
    "CK708",
    "use-cache",
    Severity.ERROR,
    needs=Need.CONFIG,
    fix="ckpt config WHERE set use_cache true",
    families=(SMOLVLA.name,),
)
def use_cache(subject: Subject) -> Iterator[Violation]:
    """`use_cache` is not true.

    With false the policy loads, and crashes at the first inference: the denoising steps read what
    only the cache contains.

    Set it to true: `ckpt config WHERE set use_cache true`.

    Bad:

        {"type": "smolvla", "use_cache": false}

    Good:

        {"type": "smolvla", "use_cache": true}
    """
    value = subject.checkpoint.value(CONFIG).get("use_cache", True)
    if value is not True and value != "true":
        effect = (
            "loads the policy and crashes at the first inference"
            if value is False or value is None or value == "false"
            else "rejects the file"
        )
        yield Violation(f"is {shown(value)}: stock LeRobot {effect}", CONFIG, "/use_cache")


@rule("CK709", "num-steps", Severity.ERROR, needs=Need.CONFIG, families=(SMOLVLA.name,))
def num_steps(subject: Subject) -> Iterator[Violation]:
    """`num_steps` is not a small positive integer.

    It is the number of denoising steps for one chunk of actions. With 0 the first inference divides
    by zero. With a negative number nothing is computed at all: LeRobot silently sends noise to the
    robot. Above 50 there is nothing to gain, and a reflowed policy needs 1 to 4.

    Set it to what the policy was evaluated with: `ckpt config WHERE set num_steps 10`.

    Bad:

        {"type": "smolvla", "num_steps": -1}

    Good:

        {"type": "smolvla", "num_steps": 10}
    """
    value, severity = subject.checkpoint.value(CONFIG).get("num_steps", _STEPS), None
    if not is_integer(value):
        what = f"is {shown(value)}, expected an integer"
    elif value == 0:
        what = "is 0: stock LeRobot fails at the first inference"
    elif value < 0:
        what = f"is {value}: stock LeRobot computes nothing and sends noise to the robot"
    elif value > _MANY:
        severity = Severity.WARNING
        what = f"is {value:,}: one chunk takes {value:,} passes through the action expert"
    else:
        return
    yield Violation(what, CONFIG, "/num_steps", set_config("num_steps", _STEPS), severity)


@rule(
    "CK712",
    "features",
    Severity.ERROR,
    needs=Need.CONFIG,
    families=(SMOLVLA.name,),
    kinds=(Kind.POLICY,),
)
def policy_features(subject: Subject) -> Iterator[Violation]:
    """Input or output features that do not fit the policy.

    LeRobot rejects a feature with more or less than a type and a shape. Without an image or an
    action a SmolVLA loads and fails at the first inference. It pads state and action to
    `max_state_dim` and `max_action_dim`; wider ones do not fit the weights.

    Copy `input_features` and `output_features` from another checkpoint of the same run.

    Bad:

        {"output_features": {"action": {"type": "ACTION", "shape": [7, 1]}}}

    Good:

        {"output_features": {"action": {"type": "ACTION", "shape": [7]}}}
    """
    config = subject.checkpoint.value(CONFIG)
    yield from _malformed(config)
    if subject.family.name != SMOLVLA.name:
        return
    inputs, outputs = features(config.get(_INPUT)), features(config.get(_OUTPUT))
    images = {name: feature.shape for name, feature in inputs.items() if feature.kind == "VISUAL"}
    if not images:
        what = "has no image: stock LeRobot fails at the first inference"
        yield Violation(what, CONFIG, f"/{_INPUT}")
    for name, shape in images.items():
        if len(shape) != 3 or shape[0] != 3:  # noqa: PLR2004 - colors, height, width
            what = f"is {list(shape)}, expected 3 colors, height and width"
            yield Violation(what, CONFIG, f"/{_INPUT}/{escape(name)}/shape")
    for side, found, name in ((_INPUT, inputs, STATE), (_OUTPUT, outputs, ACTION)):
        word = name.rpartition(".")[2]
        most, own = config.get(f"max_{word}_dim", _WIDEST), found.get(name)
        if own is None or own.kind != word.upper():
            what = f"has no {name} of type {word.upper()}, which the policy always has"
            yield Violation(what, CONFIG, f"/{side}")
        elif len(own.shape) != 1:
            what = f"is {list(own.shape)}, expected a single size"
            yield Violation(what, CONFIG, f"/{side}/{name}/shape")
        elif is_integer(most) and own.shape[0] > most:
            what = f"is {own.shape[0]} dimensions, more than max_{word}_dim ({most})"
            yield Violation(what, CONFIG, f"/{side}/{name}/shape")


def _malformed(config: Mapping[str, object]) -> Iterator[Violation]:
    for side in (_INPUT, _OUTPUT):
        value = config.get(side, {})
        if not isinstance(value, dict | None):
            yield Violation(f"is {shown(value)}, expected an object", CONFIG, f"/{side}")
        for name, feature in value.items() if isinstance(value, dict) else ():
            exact = isinstance(feature, dict) and feature.keys() == {"type", "shape"}
            if not exact or name not in features({name: feature}):
                what = (
                    f"is {shown(feature)}, expected type and shape: stock LeRobot rejects the file"
                )
                yield Violation(what, CONFIG, f"/{side}/{escape(name)}")


@rule(
    "CK713",
    "normalization-mode",
    Severity.ERROR,
    needs=Need.CONFIG,
    families=(SMOLVLA.name,),
    kinds=(Kind.POLICY,),
)
def normalization_mode(subject: Subject) -> Iterator[Violation]:
    """Unknown normalization mode.

    LeRobot rejects a config.json with such a mode, and a processor whose step has one. The modes
    are IDENTITY, MEAN_STD, MIN_MAX, QUANTILES and QUANTILE10.

    Write the mode that the policy was trained with.

    Bad:

        {"normalization_mapping": {"STATE": "MEAN", "ACTION": "MEAN_STD"}}

    Good:

        {"normalization_mapping": {"STATE": "MEAN_STD", "ACTION": "MEAN_STD"}}
    """
    mapping = subject.checkpoint.value(CONFIG).get("normalization_mapping", {})
    mappings = [(mapping, CONFIG, "/normalization_mapping")]
    mappings += [
        (step.config.get("norm_map", {}), step.path, f"{step.pointer}/config/norm_map")
        for step in steps(subject)
        if step.name in (NORMALIZER, UNNORMALIZER)
    ]
    for mapping, path, pointer in mappings:
        if not isinstance(mapping, dict):
            what = f"is {shown(mapping)}, expected modes by type of feature"
            yield Violation(what, path, pointer)
        for kind, mode in mapping.items() if isinstance(mapping, dict) else ():
            at = f"{pointer}/{escape(kind)}"
            if kind not in KINDS:
                yield Violation(f"is an unknown feature type; use {', '.join(KINDS)}", path, at)
            elif mode not in MODES:
                what = f"is the unknown mode {shown(mode)}; use {', '.join(MODES)}"
                yield Violation(what, path, at)


@rule("CK751", "loads-and-acts", Severity.ERROR, needs=Need.LIVE)
def loads_and_acts(subject: Subject) -> Iterator[Violation | Covered]:
    """The policy does not load or act.

    All other rules read files. This one runs LeRobot: the policy is loaded strictly by its own
    loader, every loaded tensor is compared with the file, since some loaders hide their errors, its
    processors are created, and it acts once on a gray image. It needs `ckpt verify WHERE --load`
    and an installed LeRobot. Nothing is downloaded: what config.json names on the Hub, such as the
    config and the tokenizer of a VLM, is taken from LeRobot's cache or from `--base NAME=DIR`.

    The other findings may show the cause.

    Bad:

        does not load: RuntimeError: size mismatch for model.state_proj.weight

    Good:

        loads with every tensor and returns a chunk of finite actions
    """
    loaded = (Question.COMPLETENESS, Question.AGREEMENT, Question.PROCESSORS)
    yield from map(Covered, () if subject.live else loaded)
    for sentence in subject.live or ():
        yield Violation(sentence, next="the other findings may show the cause")
