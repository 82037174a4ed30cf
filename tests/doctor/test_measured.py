"""Causes from measurements: the same numbers give the same causes on every machine."""

from __future__ import annotations

import random
from math import comb, nan
from typing import TYPE_CHECKING, Any

import pytest

from ckpt_tools import api
from ckpt_tools.doctor.measured_causes import with_measurements
from ckpt_tools.doctor.measurement import Side
from ckpt_tools.doctor.model import Cause, CauseCode, Effect, Observed
from ckpt_tools.doctor.repairs import Repairs
from ckpt_tools.doctor.statistics import (
    LEAST,
    distance,
    interval,
    median,
    not_finite,
    out_of,
    paired,
    summarize,
)
from ckpt_tools.rules.remedy import Remedy
from tests.support.cases import NORMAL
from tests.support.measurements import (
    SCALE,
    SWEEP,
    bent,
    chunks,
    measurement,
    rollout,
    rounds,
    side,
)

if TYPE_CHECKING:
    from ckpt_tools.doctor.measurement import Chunks, Live, MeasuredPolicy

REPAIRS = Repairs("normal", "student", api.read(str(NORMAL)), api.read(str(NORMAL)))


def live(reflow: MeasuredPolicy, **changes: Any) -> Live:
    return summarize(measurement(reflow, **changes), SCALE, SCALE)


def judged(
    reflow: MeasuredPolicy,
    *known: Cause,
    limits: tuple[tuple[float, float], ...] = (),
    **changes: Any,
) -> dict[str, Cause]:
    causes = with_measurements(Observed(live(reflow, **changes), limits, known, REPAIRS))
    return {str(cause.code): cause for cause in causes}


def a_cause(code: CauseCode, effect: Effect = Effect.WRONG) -> Cause:
    return Cause(code, effect, "the files show it", Remedy(("cp", "x", "y")))


# --- medians --------------------------------------------------------------------------------------


@pytest.mark.parametrize("count", [LEAST, 7, 10, 25, 100])
def test_an_interval_has_its_nominal_confidence(count: int) -> None:
    """Exactly, by the binomial distribution.

    The chance that the true median lies below or above both ends.
    """
    found = interval([float(number) for number in range(count)])
    outside = 2 * sum(comb(count, number) for number in range(int(found.low) + 1)) / 2**count
    assert outside <= 0.05
    assert found.low + found.high == count - 1
    narrower = 2 * sum(comb(count, number) for number in range(int(found.low) + 2)) / 2**count
    assert narrower > 0.05


def test_an_interval_covers_the_true_median_in_at_least_95_of_100_draws() -> None:
    source = random.Random(4)  # noqa: S311 - draws, not secrets
    draws = [interval([source.expovariate(1.0) for _ in range(10)]) for _ in range(2000)]
    assert sum(found.low <= 0.6931 <= found.high for found in draws) / len(draws) > 0.95


def test_a_median_is_the_middle_or_between_two() -> None:
    assert median([3.0, 1.0, 2.0]) == 2.0
    assert median([4.0, 1.0, 2.0, 3.0]) == 2.5


def test_a_ratio_is_computed_pair_by_pair() -> None:
    slow = [1.0, 1.0, 9.0, 1.0, 5.0, 1.0, 1.0, 1.0]
    assert paired(slow, [2 * value for value in slow]) == interval([2.0] * 8)


# --- distances ------------------------------------------------------------------------------------


def test_a_distance_is_in_units_of_the_scale() -> None:
    assert distance(chunks(0.5), chunks(), SCALE) == pytest.approx(0.5)
    assert distance(chunks(0.5), chunks()) == pytest.approx(1.0)
    assert distance(chunks(), chunks(), SCALE) == 0


def test_values_that_are_not_finite_are_counted_and_have_no_distance() -> None:
    broken = (((nan, 1.0),),)
    assert not_finite(broken) == 0.5
    assert distance(broken, broken) != 0
    assert out_of(broken, ((0.0, 2.0), (0.0, 0.5))) == 1.0


# --- verdicts -------------------------------------------------------------------------------------


def test_equal_policies_have_no_cause() -> None:
    assert judged(side()) == {}


def test_a_straight_student_at_one_step_has_no_cause() -> None:
    assert judged(side(bent(0.05), num_steps=1)) == {}


def test_a_straight_student_with_ten_steps_needs_fewer() -> None:
    found = judged(side(bent(0.05)))
    assert set(found) == {"num-steps"}
    assert found["num-steps"].repair.argv == ("ckpt", "config", "student", "set", "num_steps", "1")
    assert found["num-steps"].effect is Effect.SLOW


def test_a_student_that_bends_needs_its_ten_steps() -> None:
    assert judged(side(bent(0.6))) == {}


def test_fewer_steps_that_save_no_time_are_no_cause() -> None:
    assert judged(side(bent(0.05), rounds(step=0.0001))) == {}


def test_a_student_that_bends_has_too_few_steps_with_one() -> None:
    found = judged(side(bent(0.6), num_steps=1))
    assert set(found) == {"too-few-steps"}
    assert found["too-few-steps"].repair.argv == (
        "ckpt",
        "config",
        "student",
        "set",
        "num_steps",
        "10",
    )


@pytest.mark.parametrize("synthetic", [False, True])
def test_one_step_of_a_policy_that_bends_is_the_first_and_only_cause_even_far_outside_the_dataset(
    synthetic: bool,
) -> None:
    wild = {
        steps: chunks(2.77 * (10 - steps) / 9, times=20.0 if steps == 1 else 1.0)
        for steps in (1, 2, 4, 10)
    }
    found = judged(side(wild, num_steps=1), limits=((-3.0, 3.0),) * 2, synthetic=synthetic)
    assert set(found) == {"too-few-steps"}
    assert found["too-few-steps"].repair.argv == (
        "ckpt",
        "config",
        "student",
        "set",
        "num_steps",
        "10",
    )
    assert (
        "of the action values are far outside the dataset's range"
        in found["too-few-steps"].measured
    )


@pytest.mark.parametrize("synthetic", [False, True])
def test_a_student_for_one_step_that_takes_ten_takes_too_many_and_nothing_else(
    *, synthetic: bool
) -> None:
    """Nothing that it has learned says what the later steps should do."""
    astray = {1: chunks(0.05), 2: chunks(1.1), 4: chunks(2.0), 10: chunks(2.8, times=9.0)}
    found = judged(side(astray), limits=((-3.0, 3.0),) * 2, synthetic=synthetic)
    assert set(found) == {"too-many-steps"}
    many = found["too-many-steps"]
    assert many.effect is Effect.WRONG
    assert many.what.startswith("num_steps is 10: the actions are ")
    assert many.what.endswith(
        " from NORMAL's, and 0.05 at 1; "
        "on 100% of the frames they are other actions, and on 0% at 1"
    )
    assert many.repair.argv == ("ckpt", "config", "student", "set", "num_steps", "1")

    known = a_cause(CauseCode.TOO_MANY_STEPS)
    merged = judged(side(astray), known, synthetic=synthetic)["too-many-steps"]
    assert merged.what == known.what
    assert merged.measured.startswith("the actions are ")
    assert merged.repair == known.repair
    assert judged(side(astray, num_steps=1), synthetic=synthetic) == {}


def one_far(off: float) -> Chunks:
    """NORMAL's actions, but on one of twenty-one frames."""
    return (chunks() * 7)[:-1] + chunks(off)[-1:]


def test_a_frame_that_gets_another_action_is_seen_in_a_small_mean() -> None:
    """One step misses a decision, ten do not: by the mean, the actions are the same."""
    ends = {2: one_far(0.1), 4: chunks() * 7, 10: chunks() * 7}
    reflow = side({1: one_far(0.8), **ends}, num_steps=1)
    normal = side(dict.fromkeys(SWEEP, chunks() * 7))
    found = judged(reflow, normal=normal)
    assert set(found) == {"too-few-steps"}
    assert found["too-few-steps"].what == (
        "num_steps is 1: the actions are 0.175 from NORMAL's, and 0.0218 at 2; "
        "on 5% of the frames they are other actions, and on 0% at 2"
    )
    assert judged(side({1: one_far(0.3), **ends}, num_steps=1), normal=normal) == {}


def test_fewer_steps_are_not_suggested_where_a_frame_gets_another_action() -> None:
    def student(off: float) -> MeasuredPolicy:
        ends = {2: one_far(0.45), 4: one_far(0.45), 10: one_far(0.45)}
        return side({1: one_far(off), **ends})

    normal = side(dict.fromkeys(SWEEP, chunks() * 7))
    assert judged(student(0.49), normal=normal)["num-steps"].repair.argv[-1] == "1"
    assert judged(student(0.6), normal=normal)["num-steps"].repair.argv[-1] == "2"


def test_actions_that_more_steps_do_not_correct_are_not_too_few_steps() -> None:
    lost = {steps: chunks(2.0 * (10 - steps) / 9 + 1.0, times=20.0) for steps in (1, 2, 4, 10)}
    assert "actions-out-of-range" in judged(side(lost, num_steps=1), limits=((-3.0, 3.0),) * 2)
    nearer = side(bent(1.0) | {10: chunks(0.3)}, num_steps=1)
    assert "too-few-steps" in judged(nearer)
    assert "too-few-steps" not in judged(nearer, synthetic=True)


def test_nan_is_attributed_to_a_known_cause() -> None:
    broken = side(dict.fromkeys((1, 2, 4, 10), (((nan, nan),),)))
    found = judged(broken)
    assert set(found) == {"actions-not-finite"}
    assert str(found["actions-not-finite"].repair).startswith(
        "use an earlier checkpoint of its run; `ckpt verify student --values` lists"
    )
    assert found["actions-not-finite"].what == "100% of the action values are NaN or infinite"
    known = judged(broken, a_cause(CauseCode.STATISTICS_BROKEN))
    assert set(known) == {"statistics-broken"}
    assert "100%" in known["statistics-broken"].measured


def test_a_difference_that_normals_processors_remove_is_due_to_the_processors() -> None:
    far = side({steps: chunks(3.0) for steps in (1, 2, 4, 10)})
    known = judged(far, a_cause(CauseCode.OTHER_STATISTICS), crossed=chunks())
    assert set(known) == {"other-statistics", "num-steps"}
    assert (
        known["other-statistics"].measured
        == "the actions are 3 from NORMAL's, and 0 with NORMAL's processors around the same weights"
    )
    assert "other-statistics" in judged(far, crossed=chunks())
    assert "other-statistics" not in judged(far, crossed=chunks(3.0))


def test_unexplained_differences_of_actions_count_only_for_recorded_observations() -> None:
    far = side({steps: chunks(2.0) for steps in SWEEP})
    assert "actions-differ" in judged(far)
    assert "actions-differ" not in judged(far, synthetic=True)
    assert "actions-differ" not in judged(far, a_cause(CauseCode.NOT_NORMALIZED))


def test_actions_outside_the_dataset_are_reported_unless_normals_are_too() -> None:
    wild = side({steps: chunks(times=20.0) for steps in SWEEP})
    assert "actions-out-of-range" in judged(wild, limits=((-3.0, 3.0),) * 2)
    assert "actions-out-of-range" not in judged(wild, limits=((-0.1, 0.1),) * 2)
    assert "actions-out-of-range" not in judged(wild)


def test_a_slower_prefix_is_attributed_to_a_cause_in_the_files() -> None:
    slow = side(times=rounds(prefix=0.3))
    found = judged(slow)
    assert set(found) == {"slower"}
    assert "most of it in its prefix (3 times" in found["slower"].what
    known = judged(slow, a_cause(CauseCode.VLM_BUILT_IN_F32, Effect.SLOW))
    assert set(known) == {"vlm-built-in-f32"}
    assert "most of it in its prefix (3 times" in known["vlm-built-in-f32"].measured
    assert known["vlm-built-in-f32"].repair.argv == ("cp", "x", "y")


def test_a_cause_that_costs_no_time_is_reported_as_no_slower() -> None:
    known = judged(side(), a_cause(CauseCode.VLM_BUILT_IN_F32, Effect.SLOW))
    assert known["vlm-built-in-f32"].measured.startswith("no slower here: a chunk takes 1 times")


def test_a_noisy_machine_is_not_taken_for_a_slower_policy() -> None:
    source = random.Random(0)  # noqa: S311 - draws, not secrets
    for _ in range(50):
        noisy = {
            steps: tuple(
                times._replace(prefix=times.prefix * source.lognormvariate(0, 0.5))
                for times in found
            )
            for steps, found in rounds(jitter=0).items()
        }
        assert judged(side(times=noisy)) == {}


def test_an_environment_that_takes_most_of_the_time_with_reflow_is_a_cause() -> None:
    found = judged(side(), environment=rollout(0.01, (0.05, 0.06)))
    assert set(found) == {"environment-slow"}
    assert (
        found["environment-slow"].what
        == "the environment's step() takes 86% of the time, and 83% with NORMAL"
    )
    assert judged(side(), environment=rollout(0.05, (0.01, 0.01))) == {}


def test_an_environment_that_is_as_slow_with_both_is_no_cause() -> None:
    assert judged(side(), environment=rollout(0.01, (0.05, 0.05))) == {}


def test_an_environment_that_is_slower_with_these_actions_is_a_cause() -> None:
    assert set(judged(side(), environment=rollout(0.05, (0.01, 0.03)))) == {"environment-slowed"}


def test_a_rollout_that_only_reflow_fails_is_a_cause() -> None:
    found = judged(
        side(),
        environment=rollout(
            0.05, (0.01, 0.01), "REFLOW in toy, step 3: ValueError: outside", Side.REFLOW
        ),
    )
    assert found["cannot-act"].what == "REFLOW in toy, step 3: ValueError: outside"
    assert (
        judged(
            side(),
            environment=rollout(
                0.05, (0.01, 0.01), "NORMAL in toy, step 3: ValueError: outside", Side.NORMAL
            ),
        )
        == {}
    )
