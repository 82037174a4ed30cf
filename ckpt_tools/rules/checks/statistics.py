"""Normalization: what the processors normalize, by which statistics, and whether those are sane."""

from __future__ import annotations

from math import isfinite
from typing import TYPE_CHECKING

from ckpt_tools.checkpoint.documents import CONFIG
from ckpt_tools.families.kinds import Kind
from ckpt_tools.families.smolvla.facts import SMOLVLA
from ckpt_tools.rules.finding import Need, Severity
from ckpt_tools.rules.policy_config import (
    ACTION,
    acts,
    config_modes,
    features,
    modes,
    policy_of,
    value_of,
    widths,
)
from ckpt_tools.rules.processors import (
    COPY,
    DENORMALIZING,
    NORMALIZING,
    POST,
    PRE,
    REGISTERED,
    UNNORMALIZER,
    WANTED,
    action_statistics,
    alike,
    misnamed,
    pairs,
    reads,
    steps,
)
from ckpt_tools.rules.rule import Violation, rule

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ckpt_tools.rules.processors import Normalizer, Statistic
    from ckpt_tools.rules.rule import Subject

_LARGEST = 3.4028235e38
"""The largest F32, to which LeRobot narrows statistics."""

_NAMED = 5
_QUANTILES = (
    "compute the dataset's quantiles with LeRobot's augment_dataset_quantile_stats.py, and save "
    "both processors with them"
)


@rule(
    "CK723",
    "not-normalised",
    Severity.ERROR,
    needs=Need.CONFIG,
    families=(SMOLVLA.name,),
    kinds=(Kind.POLICY,),
)
def not_normalised(subject: Subject) -> Iterator[Violation]:
    """Feature that is not normalized as config.json says.

    LeRobot follows the processor and reads only there. A feature that the step does not list, that
    has no statistics or that has another mode passes unchanged and silently: the policy sees
    numbers of another size than in training. Where one of two statistics is missing the first
    inference fails.

    Copy the processor and its state file from another checkpoint of the same run. Quantiles, which
    a pi0.5 needs, are missing where the dataset had none: LeRobot's
    `augment_dataset_quantile_stats.py` computes them.

    Bad (config.json has MEAN_STD for STATE):

        {"registry_name": "normalizer_processor", "config": {"norm_map": {"STATE": "IDENTITY"}}}

    Good:

        {"registry_name": "normalizer_processor", "config": {"norm_map": {"STATE": "MEAN_STD"}}}
    """
    if not acts(subject):
        return
    if subject.checkpoint.document(PRE) and not _has(subject, PRE, NORMALIZING):
        kinds = {"STATE", *(one.kind for one in features(_inputs(subject)).values())}
        wanted = {config_modes(subject).get(kind, "IDENTITY") for kind in kinds} - {"IDENTITY"}
        if wanted:
            yield Violation("no step normalizes: the policy sees raw numbers", PRE, "/steps", COPY)
    for normalizer, found in reads(subject):
        yield from _passed_over(subject, normalizer)
        if normalizer.step.value.get("state_file") and normalizer.state is None:
            continue  # CK722
        for read in found:
            lacking = [kind for kind in WANTED[read.mode] if kind not in read.statistics]
            if not read.statistics and not misnamed(normalizer, read.feature):
                what = "has no statistics: it is not normalized"
                yield Violation(what, normalizer.file, read.feature, COPY)
            elif read.statistics and lacking:
                what = (
                    f"{lacking[0]} is missing for {read.mode}: stock LeRobot fails at the first "
                    "inference"
                )
                remedy = _QUANTILES if lacking[0].startswith("q") else COPY
                yield Violation(what, normalizer.file, read.feature, remedy)


def _inputs(subject: Subject) -> object:
    return value_of(subject, CONFIG).get("input_features")


def _has(subject: Subject, path: str, names: tuple[str, ...]) -> bool:
    """Whether a processor has one of these steps, or a plugin's, which may do the same."""
    return any(step.name in names or step.name not in REGISTERED for step in steps(subject, path))


def _passed_over(subject: Subject, normalizer: Normalizer) -> Iterator[Violation]:
    """Yield the inputs that a normalizer leaves out, and modes that differ from config.json's."""
    step, wanted = normalizer.step, config_modes(subject)
    policy = policy_of(subject)
    if step.path == POST and policy and policy.restored:
        wanted = {ACTION.upper(): policy.restored}
    chosen = step.config.get("normalize_observation_keys")
    inputs = features(_inputs(subject)) if step.path == PRE else {}
    for name, feature in inputs.items():
        left_out = name not in normalizer.features or (
            isinstance(chosen, list) and name not in chosen
        )
        if left_out and wanted.get(feature.kind, "IDENTITY") != "IDENTITY":
            what = f"{name} is left out: it is not normalized"
            yield Violation(what, step.path, f"{step.pointer}/config", COPY)
    for kind in sorted({feature.kind for feature in inputs.values()} or {ACTION.upper()}):
        mine, other = normalizer.modes.get(kind, "IDENTITY"), wanted.get(kind, "IDENTITY")
        if mine != other and (step.path == PRE or mine != "IDENTITY"):
            what = f"is {mine}, but {other} in config.json: LeRobot follows the processor"
            yield Violation(what, step.path, f"{step.pointer}/config/norm_map/{kind}", COPY)


@rule("CK724", "statistics-keys", Severity.ERROR, needs=Need.HEADERS)
def statistics_keys(subject: Subject) -> Iterator[Violation]:
    """Statistics under a name that LeRobot does not read.

    LeRobot reads `observation.state.mean`. It loads `so100.buffer.observation_state.mean`,
    `normalize_inputs.…` or `observation_state.mean` and never uses it: the feature passes unchanged
    and silently. A name without a dot makes loading fail.

    Rename the tensors of the state file, or migrate the original checkpoint again.

    Bad:

        observation_state.mean

    Good:

        observation.state.mean
    """
    for normalizer, found in reads(subject):
        for name in normalizer.loose:
            what = "names no feature and statistic: stock LeRobot fails to load the processor"
            yield Violation(what, normalizer.file, name)
        for read in found:
            name = misnamed(normalizer, read.feature)
            if name and not read.statistics:
                what = f"is not read, so {read.feature} is not normalized"
                yield Violation(what, normalizer.file, name, f"rename it to {read.feature}.…")


@rule("CK725", "statistics-finite", Severity.ERROR, needs=Need.HEADERS)
def statistics_finite(subject: Subject) -> Iterator[Violation]:
    """NaN or infinity in normalization statistics.

    With one NaN every action is NaN; an infinite one turns observations into zeros, or actions into
    infinity. LeRobot loads both silently.

    Compute the statistics again: the dataset contains a NaN. Copying them from a checkpoint of the
    same run copies the same NaN.

    Bad:

        observation.state.std    0.41, nan, 0.22

    Good:

        observation.state.std    0.41, 0.35, 0.22
    """
    for normalizer, _, pair in pairs(subject):
        for statistic in pair:
            numbers = statistic.numbers or ()
            bad = [one for one in numbers if not isfinite(one) or abs(one) > _LARGEST]
            if bad:
                nan = sum(one != one for one in bad)  # noqa: PLR0124 - only NaN differs from itself
                yield Violation(
                    f"{nan:,} NaN and {len(bad) - nan:,} infinite of {len(numbers):,} numbers",
                    normalizer.file,
                    statistic.name,
                    "compute the statistics of the dataset again",
                )


@rule("CK726", "statistics-spread", Severity.ERROR, needs=Need.HEADERS)
def statistics_spread(subject: Subject) -> Iterator[Violation]:
    """Standard deviation or range that is zero or negative.

    A dimension that never moved in the dataset has a standard deviation of 0. LeRobot divides by it
    plus 1e-8: the smallest deviation on a robot becomes a hundred million. A negative one inverts
    the dimension. For an action, 0 means that this dimension always has the same value. That is a
    note: a gripper that never closes is restored to the value it had. It is an error where all
    dimensions of the action are so.

    Set the standard deviation of a state dimension that never moves to 1, or remove the dimension
    from the dataset.

    Bad:

        observation.state.std    0.41, 0.0, 0.22

    Good:

        observation.state.std    0.41, 1.0, 0.22
    """
    for normalizer, read, (low, high) in pairs(subject):
        if read.mode == "MEAN_STD":
            word, spreads = "standard deviation", list(high.numbers or ())
        else:
            numbers = zip(low.numbers or (), high.numbers or (), strict=False)
            spreads = [top - bottom for bottom, top in numbers]
            word = f"distance from {_kind(low)} to {_kind(high)}"
        zero = [at for at, spread in enumerate(spreads) if 0 <= spread <= normalizer.eps]
        negative = [at for at, spread in enumerate(spreads) if spread < 0]
        if negative:
            what = f"the {word} is negative in {_dimensions(negative)}"
            yield Violation(what, normalizer.file, high.name)
        if zero:
            is_action = read.feature == ACTION
            effect = (
                "the policy always does the same there"
                if is_action
                else "the smallest deviation becomes huge"
            )
            what = f"the {word} is 0 in {_dimensions(zero)}: {effect}"
            milder = Severity.NOTE if is_action and len(zero) < len(spreads) else None
            yield Violation(what, normalizer.file, high.name, severity=milder)


def _kind(statistic: Statistic) -> str:
    return statistic.name.rpartition(".")[2]


def _dimensions(numbers: list[int]) -> str:
    more = f" and {len(numbers) - _NAMED:,} more" if len(numbers) > _NAMED else ""
    return f"dimension{'s' * (len(numbers) > 1)} {', '.join(map(str, numbers[:_NAMED]))}{more}"


@rule("CK727", "statistics-shape", Severity.ERROR, needs=Need.HEADERS)
def statistics_shape(subject: Subject) -> Iterator[Violation]:
    """Statistics of another shape than their feature.

    A vector of seven does not fit one of six: LeRobot fails at the first inference. It happens when
    the statistics of another robot are copied. A single number fits anything. Where the weights are
    as wide as the statistics, it is config.json that is wrong (CK714).

    Copy the state file from another checkpoint of the same run.

    Bad (observation.state has 6 dimensions):

        observation.state.mean    F32 [7]

    Good:

        observation.state.mean    F32 [6]
    """
    wide = {what: (size,) for what, size in widths(subject)}
    for normalizer, read, pair in pairs(subject):
        for statistic in pair:
            is_image = read.kind == "VISUAL" and len(statistic.shape) == 1
            shape = (*statistic.shape, 1, 1) if is_image else statistic.shape
            if wide.get(read.feature.rpartition(".")[2]) == statistic.shape:
                continue  # CK714
            if read.shape is not None and not _broadcasts(shape, read.shape):
                yield Violation(
                    f"has the shape {list(statistic.shape)}, but {read.feature} "
                    f"{list(read.shape)}: stock LeRobot fails at the first inference",
                    normalizer.file,
                    statistic.name,
                    "copy the state file from another checkpoint of the same run",
                )


def _broadcasts(statistic: tuple[int, ...], feature: tuple[int, ...]) -> bool:
    """Whether torch broadcasts the first shape to the second."""
    aligned = feature[len(feature) - len(statistic) :]
    return len(statistic) <= len(feature) and all(
        mine in (1, other) for mine, other in zip(statistic, aligned, strict=True)
    )


@rule(
    "CK728",
    "action-not-denormalised",
    Severity.ERROR,
    needs=Need.CONFIG,
    families=(SMOLVLA.name,),
    kinds=(Kind.POLICY,),
)
def action_not_denormalised(subject: Subject) -> Iterator[Violation]:
    """Action that the postprocessor does not denormalize.

    Without that step, or with the mode IDENTITY in it, the robot gets numbers around one where it
    expects degrees or meters. LeRobot does so silently.

    Copy policy_postprocessor.json and its state file from another checkpoint of the same run.

    Bad (config.json has MEAN_STD for ACTION):

        {"registry_name": "unnormalizer_processor", "config": {"norm_map": {"ACTION": "IDENTITY"}}}

    Good:

        {"registry_name": "unnormalizer_processor", "config": {"norm_map": {"ACTION": "MEAN_STD"}}}
    """
    mode, policy = config_modes(subject).get("ACTION", "IDENTITY"), policy_of(subject)
    mode = (policy.restored if policy else "") or mode
    if mode == "IDENTITY" or subject.checkpoint.document(POST) is None or not acts(subject):
        return
    own = [step for step in steps(subject, POST) if step.name == UNNORMALIZER]
    raw = "the robot gets the policy's normalized numbers"
    if not _has(subject, POST, DENORMALIZING):
        yield Violation(f"no step denormalizes the action: {raw}", POST, "/steps", COPY)
    for step in own:
        if modes(step.config.get("norm_map")).get("ACTION", "IDENTITY") == "IDENTITY":
            what = f"the action is not denormalized, but {mode} in training: {raw}"
            yield Violation(what, POST, f"{step.pointer}/config/norm_map/ACTION", COPY)


@rule("CK729", "action-statistics-differ", Severity.ERROR, needs=Need.HEADERS)
def action_statistics_differ(subject: Subject) -> Iterator[Violation]:
    """Action statistics that differ between the processors.

    The preprocessor normalizes the actions that the policy is trained on, the postprocessor undoes
    it. Where they differ, one of them belongs to another dataset, and every action is off by the
    difference.

    Copy both state files from one checkpoint.

    Bad:

        preprocessor's action.mean     0.10, 0.52
        postprocessor's action.mean    0.31, 0.47

    Good:

        preprocessor's action.mean     0.10, 0.52
        postprocessor's action.mean    0.10, 0.52
    """
    before, after = (action_statistics(subject, path) for path in (PRE, POST))
    for kind in sorted(before.keys() & after.keys()):
        if not alike(before[kind], after[kind]):
            what = "differs from the preprocessor's: actions are not restored to what they were"
            yield Violation(
                what, POST, after[kind].name, "copy both state files from one checkpoint"
            )


@rule("CK730", "statistics-unlike-reference", Severity.NOTE, needs=Need.BASELINE)
def statistics_unlike_reference(subject: Subject) -> Iterator[Violation]:
    """Statistics that differ from the reference's.

    A student acts in the space that its teacher was trained in. Stock `lerobot-train` replaces a
    pretrained policy's statistics by those of the dataset it trains on: the same numbers then mean
    something else to a distilled student. For a policy that is not its teacher's student other
    statistics are normal, so this is a note.

    Copy the teacher's processors and their state files.

    Bad (0.10, 0.52 in the reference):

        action.mean    0.31, 0.47

    Good:

        action.mean    0.10, 0.52
    """
    normal = {
        (normalizer.step.path, statistic.name): statistic
        for normalizer, _, pair in pairs(
            subject._replace(checkpoint=subject.reference or subject.checkpoint)
        )
        for statistic in pair
    }
    for normalizer, _, pair in pairs(subject):
        for statistic in pair:
            other = normal.get((normalizer.step.path, statistic.name))
            if other and not alike(statistic, other):
                yield Violation(
                    "differs from the reference's",
                    normalizer.file,
                    statistic.name,
                    "copy the teacher's processors if the reference is the teacher",
                )
