"""Intervals and tests of the comparison, against closed forms and scipy."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
import scipy.stats
from lerobot_reflow.compare.statistics import (
    Pairs,
    Z,
    bootstrap_mean,
    bootstrap_ratio,
    mcnemar,
    pair,
    paired_difference,
    sign_flip,
    wilson,
)


@pytest.mark.parametrize(("successes", "trials"), [(0, 7), (7, 7), (1, 2), (89, 100), (49, 100)])
def test_wilson_is_scipys(successes: int, trials: int) -> None:
    found = wilson(successes, trials)
    expected = scipy.stats.binomtest(successes, trials).proportion_ci(method="wilson")
    assert found.value == successes / trials
    assert found[1:] == pytest.approx((expected.low, expected.high), abs=1e-12)


def test_wilson_of_half_is_symmetric_with_the_closed_half_width() -> None:
    found = wilson(50, 100)
    half = Z / 20 / math.sqrt(1 + Z * Z / 100)
    assert found == pytest.approx((0.5, 0.5 - half, 0.5 + half))


@pytest.mark.parametrize(("successes", "trials"), [(0, 0), (3, 2), (-1, 2)])
def test_impossible_counts_are_an_error(successes: int, trials: int) -> None:
    with pytest.raises(ValueError, match="successes in"):
        wilson(successes, trials)


@pytest.mark.parametrize(("first", "second"), [(0, 0), (1, 0), (5, 5), (2, 11), (30, 12)])
def test_mcnemar_is_the_binomial_test_of_discordant_pairs(first: int, second: int) -> None:
    found = mcnemar(Pairs(3, first, second, 4))
    expected = (
        scipy.stats.binomtest(first, first + second).pvalue if first + second else pytest.approx(1)
    )
    assert found == pytest.approx(expected)
    assert found == mcnemar(Pairs(0, second, first, 0))


def test_mcnemar_of_five_against_none() -> None:
    assert mcnemar(Pairs(0, 5, 0, 0)) == 2 / 2**5


@pytest.mark.parametrize(("first", "second"), [(0, 0), (1, 0), (5, 5), (2, 11), (30, 12)])
def test_flipping_signs_of_ones_is_mcnemar(first: int, second: int) -> None:
    differences = [1] * first + [-1] * second + [0] * 7
    assert sign_flip(differences) == pytest.approx(mcnemar(Pairs(3, first, second, 4)))


def test_flipping_signs_is_the_count_over_all_ways() -> None:
    differences = [3, -1, 2, 2, 0, -1, 3]
    ways = [
        abs(sum(sign * size for sign, size in zip(signs, differences, strict=True)))
        for signs in itertools.product((-1, 1), repeat=len(differences))
    ]
    extreme = sum(total >= abs(sum(differences)) for total in ways)
    assert sign_flip(differences) == pytest.approx(extreme / len(ways))


def test_pairs_are_counted_by_episode() -> None:
    found = pair([True, True, False, False, True], [True, False, True, False, False])
    assert found == Pairs(both=1, only_first=2, only_second=1, neither=1)
    assert found.episodes == 5
    with pytest.raises(ValueError, match="zip"):
        pair([True], [True, False])


def test_the_paired_difference_is_bonett_and_prices() -> None:
    found = paired_difference(Pairs(both=40, only_first=12, only_second=3, neither=45))
    first, second = 13 / 102, 4 / 102
    half = Z * math.sqrt((first + second - (first - second) ** 2) / 102)
    assert found == pytest.approx((0.09, first - second - half, first - second + half))


def test_the_paired_difference_has_an_interval_where_all_agree_and_stays_in_range() -> None:
    same = paired_difference(Pairs(5, 0, 0, 5))
    assert same.value == 0
    assert same.low == -same.high < 0
    assert paired_difference(Pairs(0, 3, 0, 0)).high <= 1
    with pytest.raises(ValueError, match="no episodes"):
        paired_difference(Pairs(0, 0, 0, 0))


def test_the_bootstrap_of_a_mean_is_close_to_students_interval() -> None:
    values = np.random.default_rng(3).normal(2.0, 1.0, 300)
    found = bootstrap_mean(list(values))
    expected = scipy.stats.t.interval(
        0.95, len(values) - 1, loc=values.mean(), scale=scipy.stats.sem(values)
    )
    assert found == pytest.approx((values.mean(), *expected), abs=0.01)


def test_the_bootstrap_is_the_same_for_the_same_seed() -> None:
    values = list(np.random.default_rng(4).normal(size=60))
    assert bootstrap_mean(values) == bootstrap_mean(values)
    assert bootstrap_mean(values, seed=1) != bootstrap_mean(values)
    assert bootstrap_mean([0.25] * 8) == (0.25, 0.25, 0.25)


def test_a_ratio_is_resampled_in_pairs() -> None:
    values = list(np.random.default_rng(0).uniform(0.5, 4.0, 50))
    halves = [value / 2 for value in values]
    assert bootstrap_ratio(halves, values) == pytest.approx((0.5, 0.5, 0.5))
    with pytest.raises(ValueError, match="not above zero"):
        bootstrap_ratio(values, [0.0] * 50)


def test_no_values_are_an_error() -> None:
    with pytest.raises(ValueError, match="no values"):
        bootstrap_mean([])
