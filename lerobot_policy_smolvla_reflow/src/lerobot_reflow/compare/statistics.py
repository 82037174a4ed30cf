"""Intervals and tests of success rates and distances. Pure; 95 % throughout.

Sources: Wilson, JASA 22 (1927); McNemar, Psychometrika 12 (1947), in its exact form; Bonett and
Price, J. Educ. Behav. Stat. 37 (2012), for the difference of paired proportions; Efron, Ann.
Stat. 7 (1979), for the bootstrap.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import comb, sqrt
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Z = 1.959963984540054  # the normal distribution's 97.5 % quantile
RESAMPLES, BLOCK = 10_000, 500
TAILS = (2.5, 97.5)

Flags = Sequence[bool]


class Estimate(NamedTuple):
    """A value and its 95 % interval."""

    value: float
    low: float
    high: float


class Pairs(NamedTuple):
    """The outcomes of two policies for the same episodes: how many succeeded in which."""

    both: int
    only_first: int
    only_second: int
    neither: int

    @property
    def episodes(self) -> int:
        """The number of episodes."""
        return sum(self)


def wilson(successes: int, trials: int) -> Estimate:
    """The share of successes with Wilson's score interval, which stays inside [0, 1].

    Raises ValueError without trials.
    """
    if not 0 <= successes <= trials or not trials:
        raise ValueError(f"{successes} successes in {trials} trials")
    share, square = successes / trials, Z * Z / trials
    center = (share + square / 2) / (1 + square)
    half = Z * sqrt(share * (1 - share) / trials + square / (4 * trials)) / (1 + square)
    return Estimate(
        share,
        0.0 if successes == 0 else center - half,
        1.0 if successes == trials else center + half,
    )


def pair(first: Flags, second: Flags) -> Pairs:
    """Count the outcomes of two policies. Raises ValueError for different numbers of episodes."""
    outcomes = [(bool(a), bool(b)) for a, b in zip(first, second, strict=True)]
    return Pairs(
        both=outcomes.count((True, True)),
        only_first=outcomes.count((True, False)),
        only_second=outcomes.count((False, True)),
        neither=outcomes.count((False, False)),
    )


def mcnemar(pairs: Pairs) -> float:
    """The two-sided exact p-value of equal success rates: a fair coin for each discordant pair."""
    discordant = pairs.only_first + pairs.only_second
    fewer = min(pairs.only_first, pairs.only_second)
    tail = sum(comb(discordant, count) for count in range(fewer + 1))
    return min(1.0, 2 * tail / 2**discordant)


def sign_flip(differences: Sequence[int]) -> float:
    """The two-sided exact p-value that whole differences are as likely positive as negative.

    The sum is compared with all ways of flipping signs; for differences of one, this is McNemar's
    test.
    """
    totals = {0: 1}  # how many ways of flipping lead to each sum
    for size in map(abs, differences):
        if size:
            previous, totals = totals, {}
            for total, ways in previous.items():
                for sum_ in (total - size, total + size):
                    totals[sum_] = totals.get(sum_, 0) + ways
    found = abs(sum(differences))
    extreme = sum(ways for total, ways in totals.items() if abs(total) >= found)
    return extreme / sum(totals.values())


def paired_difference(pairs: Pairs) -> Estimate:
    """The first success rate minus the second, with Bonett and Price's interval.

    Raises ValueError without episodes.
    """
    if not pairs.episodes:
        raise ValueError("no episodes")
    first, second = (
        (only + 1) / (pairs.episodes + 2) for only in (pairs.only_first, pairs.only_second)
    )
    center = first - second
    half = Z * sqrt((first + second - center * center) / (pairs.episodes + 2))
    return Estimate(
        (pairs.only_first - pairs.only_second) / pairs.episodes,
        max(-1.0, center - half),
        min(1.0, center + half),
    )


def bootstrap_mean(values: Sequence[float], seed: int = 0) -> Estimate:
    """The mean with its percentile interval over resampled values.

    For paired data, pass the differences. The same for the same seed. Raises ValueError without
    values.
    """
    return _bootstrap([values], lambda means: means[0], seed)


def bootstrap_ratio(first: Sequence[float], second: Sequence[float], seed: int = 0) -> Estimate:
    """The ratio of two means, resampled together, so that pairs stay pairs.

    Raises ValueError without values or when the second mean is not above zero.
    """
    if not np.mean(second) > 0:
        raise ValueError("the second mean is not above zero")
    return _bootstrap([first, second], lambda means: means[0] / means[1], seed)


def _bootstrap(
    columns: list[Sequence[float]],
    statistic: Callable[[NDArray[np.float64]], NDArray[np.float64]],
    seed: int,
) -> Estimate:
    """A statistic of the columns' means, (columns, resamples) to (resamples)."""
    values_CN = np.array(columns, dtype=np.float64)
    count = values_CN.shape[1]
    if not count:
        raise ValueError("no values")
    random, found = np.random.default_rng(seed), []
    for _ in range(RESAMPLES // BLOCK):
        # How often each value is drawn: the same draws for every column.
        weights_RN = random.multinomial(count, np.full(count, 1 / count), size=BLOCK)
        with np.errstate(divide="ignore", invalid="ignore"):
            found.append(statistic(values_CN @ weights_RN.T / count))
    low, high = np.nanpercentile(np.concatenate(found), TAILS)
    return Estimate(float(statistic(values_CN.mean(axis=1))), float(low), float(high))
