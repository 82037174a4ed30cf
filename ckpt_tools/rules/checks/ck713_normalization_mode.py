"""Every normalisation mode is one that LeRobot knows.

It refuses a config.json with another one, and a processor whose step has another one. The modes are
IDENTITY, MEAN_STD, MIN_MAX, QUANTILES and QUANTILE10.

Write the mode that the policy was trained with.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ckpt_tools.rules.finding import Need, Severity
from ckpt_tools.rules.policy_config import CONFIG, KINDS, MODES, SMOLVLA, shown, value_of
from ckpt_tools.rules.processors import NORMALIZER, UNNORMALIZER, steps
from ckpt_tools.rules.rule import Rule, Violation
from ckpt_tools.strict_json.parse import escape

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ckpt_tools.rules.rule import Subject


def check(subject: Subject) -> Iterator[Violation]:
    """Yield one finding a mode, in config.json and in the steps that normalise."""
    config = value_of(subject, CONFIG)
    yield from _wrong(config.get("normalization_mapping", {}), CONFIG, "/normalization_mapping")
    for step in steps(subject):
        if step.name in (NORMALIZER, UNNORMALIZER):
            yield from _wrong(
                step.config.get("norm_map", {}), step.path, f"{step.pointer}/config/norm_map"
            )


def _wrong(mapping: object, path: str, pointer: str) -> Iterator[Violation]:
    if not isinstance(mapping, dict):
        yield Violation(
            f"is {shown(mapping)} where modes by kind of feature are expected", path, pointer
        )
        return
    for kind, mode in mapping.items():
        if kind not in KINDS:
            yield Violation(
                f"{shown(kind)} is no kind of feature: use {', '.join(KINDS)}",
                path,
                f"{pointer}/{escape(kind)}",
            )
        elif not isinstance(mode, str) or mode not in MODES:
            yield Violation(
                f"{shown(mode)} is no mode of LeRobot's: use {', '.join(MODES)}",
                path,
                f"{pointer}/{escape(kind)}",
            )


RULE = Rule(
    code="CK713",
    name="normalization-mode",
    severity=Severity.ERROR,
    needs=frozenset({Need.CONFIG}),
    check=check,
    page=__doc__,
    families=SMOLVLA,
)
