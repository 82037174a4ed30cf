"""Normalization: what the processors normalize, and by which statistics."""

from __future__ import annotations

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
    has_steps,
    misnamed,
    pairs,
    reads,
    steps,
)
from ckpt_tools.rules.rule import Violation, rule

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ckpt_tools.rules.policy_config import Feature
    from ckpt_tools.rules.processors import Normalizer
    from ckpt_tools.rules.rule import Subject

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

    Copy the processor and its state file from another checkpoint of the same run, or correct the
    name if config.json and the processor spell it differently. Quantiles, which a pi0.5 needs, are
    missing where the dataset had none: LeRobot's `augment_dataset_quantile_stats.py` computes them.

    Bad (config.json has MEAN_STD for STATE):

        {"registry_name": "normalizer_processor", "config": {"norm_map": {"STATE": "IDENTITY"}}}

    Good:

        {"registry_name": "normalizer_processor", "config": {"norm_map": {"STATE": "MEAN_STD"}}}
    """
    if not acts(subject):
        return
    if has_steps(subject, PRE) and not _has(subject, PRE, NORMALIZING):
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
    return subject.checkpoint.value(CONFIG).get("input_features")


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
            instead = _listed_instead(normalizer, feature, inputs)
            what = f"{name} is left out: it is not normalized"
            if instead:
                what += f"; the step has {', '.join(instead)}, which config.json lacks"
            remedy = "correct the name in config.json or in the processor" if instead else COPY
            yield Violation(what, step.path, f"{step.pointer}/config", remedy)
    for kind in sorted({feature.kind for feature in inputs.values()} or {ACTION.upper()}):
        mine, other = normalizer.modes.get(kind, "IDENTITY"), wanted.get(kind, "IDENTITY")
        if mine != other and (step.path == PRE or mine != "IDENTITY"):
            what = f"is {mine}, but {other} in config.json: LeRobot follows the processor"
            yield Violation(what, step.path, f"{step.pointer}/config/norm_map/{kind}", COPY)


def _listed_instead(
    normalizer: Normalizer, feature: Feature, inputs: dict[str, Feature]
) -> list[str]:
    """Return the names under which a normalizer may have a feature that config.json misspells."""
    listed = normalizer.features.items()
    return sorted(name for name, one in listed if one == feature and name not in inputs)


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
    if mode == "IDENTITY" or not has_steps(subject, POST) or not acts(subject):
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
