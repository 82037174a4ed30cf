"""The features say what the policy reads and what it gives.

LeRobot refuses a feature with more or less than a type and a shape. Without an image or an action
the policy loads and fails at the first inference. State and action are padded to `max_state_dim`
and `max_action_dim`; wider ones do not fit the weights.

Copy `input_features` and `output_features` from another checkpoint of the same run.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ckpt_tools.rules.finding import Need, Severity
from ckpt_tools.rules.policy_config import (
    ACTION,
    CONFIG,
    SMOLVLA,
    STATE,
    features,
    is_integer,
    shown,
    value_of,
)
from ckpt_tools.rules.rule import Rule, Violation
from ckpt_tools.strict_json.parse import escape

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from ckpt_tools.rules.rule import Subject
_INPUT, _OUTPUT = "input_features", "output_features"
_WIDEST = 32
"""What both are padded to where config.json does not say."""


def check(subject: Subject) -> Iterator[Violation]:
    """Yield what is wrong with features one by one, and then with what they are together."""
    config = value_of(subject, CONFIG)
    yield from _malformed(config)
    inputs, outputs = features(config.get(_INPUT)), features(config.get(_OUTPUT))
    images = [(name, feature) for name, feature in inputs.items() if feature.kind == "VISUAL"]
    if not images:
        yield Violation(
            "no image is among the input features: stock LeRobot fails at the first inference",
            CONFIG,
            f"/{_INPUT}",
        )
    for name, feature in images:
        if len(feature.shape) != 3 or feature.shape[0] != 3:  # noqa: PLR2004 - colours, height, width
            shape = list(feature.shape)
            yield Violation(
                f"the image {name} has the shape {shape} where 3 colours, height and width are expected",
                CONFIG,
                f"/{_INPUT}/{escape(name)}/shape",
            )
    for side, found, name in ((_INPUT, inputs, STATE), (_OUTPUT, outputs, ACTION)):
        kind, most = (
            name.rpartition(".")[2].upper(),
            config.get(f"max_{name.rpartition('.')[2]}_dim", _WIDEST),
        )
        own = found.get(name)
        if own is None or own.kind != kind:
            yield Violation(
                f"{name}, of the type {kind}, is not among the {side.replace('_', ' ')}: the policy always has it",
                CONFIG,
                f"/{side}",
            )
        elif len(own.shape) != 1:
            yield Violation(
                f"{name} has the shape {list(own.shape)} where one number is expected",
                CONFIG,
                f"/{side}/{name}/shape",
            )
        elif is_integer(most) and own.shape[0] > most:
            yield Violation(
                f"{name} has {own.shape[0]} dimensions, and the policy only {most}",
                CONFIG,
                f"/{side}/{name}/shape",
            )


def _malformed(config: Mapping[str, object]) -> Iterator[Violation]:
    for side in (_INPUT, _OUTPUT):
        value = config.get(side, {})
        if not isinstance(value, dict | None):
            yield Violation(
                f"{side} is {shown(value)} where an object is expected", CONFIG, f"/{side}"
            )
        for name, feature in value.items() if isinstance(value, dict) else ():
            exact = isinstance(feature, dict) and feature.keys() == {"type", "shape"}
            if not exact or name not in features({name: feature}):
                what = f"{name} is {shown(feature)} where a type and a shape are expected: stock LeRobot refuses the file"
                yield Violation(what, CONFIG, f"/{side}/{escape(name)}")


RULE = Rule(
    code="CK712",
    name="features",
    severity=Severity.ERROR,
    needs=frozenset({Need.CONFIG}),
    check=check,
    page=__doc__,
    families=SMOLVLA,
)
