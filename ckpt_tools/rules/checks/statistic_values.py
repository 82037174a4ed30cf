"""The numbers of normalization statistics: finite, spread, of the right shape, of a dataset."""

from __future__ import annotations

from math import isfinite
from typing import TYPE_CHECKING

from ckpt_tools.families.kinds import Kind
from ckpt_tools.rules.finding import Need, Severity
from ckpt_tools.rules.policy_config import ACTION, widths
from ckpt_tools.rules.processors import pairs
from ckpt_tools.rules.rule import Violation, rule
from ckpt_tools.text import count

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ckpt_tools.rules.processors import Read, Statistic
    from ckpt_tools.rules.rule import Subject

_LARGEST = 3.4028235e38
"""The largest F32, to which LeRobot narrows statistics."""

_NAMED = 5


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


@rule("CK735", "placeholder-statistics", Severity.NOTE, needs=Need.HEADERS, kinds=(Kind.POLICY,))
def placeholder_statistics(subject: Subject) -> Iterator[Violation]:
    """Statistics of no dataset.

    Every mean is 0 and every standard deviation 1: normalizing with them changes nothing. Code that
    builds a policy without a dataset fills them in so. They are right only for a dataset that was
    normalized before training; otherwise the policy sees numbers of another size.

    Find out where they come from. Where another checkpoint of the same run has real ones, copy its
    processors and their state files.

    Bad:

        observation.state.mean    0.0, 0.0, 0.0
        observation.state.std     1.0, 1.0, 1.0

    Good:

        observation.state.mean    0.12, -0.40, 0.31
        observation.state.std     0.41, 0.35, 0.22
    """
    by_file: dict[str, list[bool]] = {}
    for normalizer, read, pair in pairs(subject):
        if read.kind != "VISUAL":
            by_file.setdefault(normalizer.file, []).append(_says_nothing(read, pair))
    files = [file for file, found in by_file.items() if all(found)]
    if files and len(files) == len(by_file):
        more = f" (and of {count(len(files) - 1, 'other file')})" if len(files) > 1 else ""
        what = f"every mean is 0 and every standard deviation 1{more}: statistics of no dataset"
        yield Violation(what, files[0], next="copy the processors of the run, if it has others")


def _says_nothing(read: Read, pair: tuple[Statistic, Statistic]) -> bool:
    mean, deviation = pair
    is_zero, is_one = set(mean.numbers or (1,)) == {0}, set(deviation.numbers or (0,)) == {1}
    return read.mode == "MEAN_STD" and is_zero and is_one
