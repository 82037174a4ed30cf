"""What the config says is normalised is normalised.

LeRobot does what the processor says and reads only there. A feature that the step does not list,
that has no statistics or that has another mode passes through as it is, without a word: the policy
sees numbers of another size than in training. Where one of two statistics is missing it fails at
the first inference.

Copy the processor and its state file from another checkpoint of the same run.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ckpt_tools.rules.finding import Need, Severity
from ckpt_tools.rules.policy_config import ACTION, CONFIG, SMOLVLA, config_modes, features, value_of
from ckpt_tools.rules.processors import (
    NORMALIZER,
    POST,
    PRE,
    WANTED,
    misnamed,
    normalizers,
    read_at_inference,
    steps,
)
from ckpt_tools.rules.rule import Rule, Violation

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ckpt_tools.rules.processors import Normalizer
    from ckpt_tools.rules.rule import Subject
_NEXT = "copy the processor and its state file from another checkpoint of the same run"


def check(subject: Subject) -> Iterator[Violation]:
    """Yield one finding a feature, or one for a preprocessor that has no step that normalises."""
    if subject.checkpoint.document(PRE) and not any(
        step.name == NORMALIZER for step in steps(subject, PRE)
    ):
        yield Violation("no step normalises: the policy sees raw numbers", PRE, "/steps", _NEXT)
    for path in (PRE, POST):
        for normalizer in normalizers(subject, path):
            yield from _passed_over(subject, normalizer)
            if normalizer.step.value.get("state_file") and normalizer.state is None:
                continue  # CK722
            for read in read_at_inference(subject, normalizer):
                lacking = [kind for kind in WANTED[read.mode] if kind not in read.statistics]
                if not read.statistics and not misnamed(normalizer, read.feature):
                    yield Violation(
                        f"there are no statistics of {read.feature}: it is not normalised",
                        normalizer.file,
                        read.feature,
                        _NEXT,
                    )
                elif read.statistics and lacking:
                    what = f"{read.mode} of {read.feature} reads {lacking[0]}, which is not there: stock LeRobot fails at the first inference"
                    yield Violation(what, normalizer.file, read.feature, _NEXT)


def _passed_over(subject: Subject, normalizer: Normalizer) -> Iterator[Violation]:
    """Yield the inputs that a normalizer leaves out, and modes that differ from those in config.json."""
    wanted, chosen, step = (
        config_modes(subject),
        normalizer.step.config.get("normalize_observation_keys"),
        normalizer.step,
    )
    inputs = features(value_of(subject, CONFIG).get("input_features")) if step.path == PRE else {}
    for name, feature in inputs.items():
        left_out = name not in normalizer.features or (
            isinstance(chosen, list) and name not in chosen
        )
        if left_out and wanted.get(feature.kind, "IDENTITY") != "IDENTITY":
            yield Violation(
                f"{name} is left out: it is not normalised",
                step.path,
                f"{step.pointer}/config",
                _NEXT,
            )
    used = {feature.kind for feature in inputs.values()} or {ACTION.upper()}
    for kind in sorted(used):
        mine, other = normalizer.modes.get(kind, "IDENTITY"), wanted.get(kind, "IDENTITY")
        if mine != other and (step.path == PRE or mine != "IDENTITY"):
            what = f"the mode of {kind} is {mine}, and {other} in config.json: LeRobot does what is here"
            yield Violation(what, step.path, f"{step.pointer}/config/norm_map/{kind}", _NEXT)


RULE = Rule(
    code="CK723",
    name="not-normalised",
    severity=Severity.ERROR,
    needs=frozenset({Need.CONFIG}),
    check=check,
    page=__doc__,
    families=SMOLVLA,
)
