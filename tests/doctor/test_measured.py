"""Causes from measurements: the same numbers give the same causes on every machine."""

from __future__ import annotations

import json
import random
import re
from math import comb, nan
from typing import TYPE_CHECKING, Any

import pytest

from ckpt_tools import api
from ckpt_tools.api._doctor import ProbeOptions
from ckpt_tools.cli.main import main
from ckpt_tools.doctor.measured_causes import with_measurements
from ckpt_tools.doctor.measurement import Side
from ckpt_tools.doctor.model import Cause, CauseCode, Effect, Observed, Problem, ProblemKind
from ckpt_tools.doctor.probe import measurement as parsed
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
from ckpt_tools.errors import ProbeFailed
from ckpt_tools.report.blocks import Table
from ckpt_tools.report.formats import markdown, text
from ckpt_tools.report.pages.diagnosis import note_text, page
from ckpt_tools.report.pages.measurements import live_blocks
from ckpt_tools.rules.remedy import Remedy
from tests.support.cases import FIXTURES, NORMAL
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
    from pathlib import Path

    from ckpt_tools.doctor.measurement import Chunks, Live, MeasuredPolicy, Measurement

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


# --- through the verb, with a stand-in for the probe ----------------------------------------------


def answering(
    monkeypatch: pytest.MonkeyPatch, answer: Measurement | tuple[Problem, ...] | Exception
) -> None:
    def ask(
        _family: str, _request: object, progress: Any, *_: object
    ) -> Measurement | tuple[Problem, ...]:
        progress(1, 2)
        if isinstance(answer, Exception):
            raise answer
        return answer

    monkeypatch.setattr("ckpt_tools.api._doctor._lacking", lambda *_: "")  # of what the Hub has
    monkeypatch.setattr("ckpt_tools.api._doctor.run_probe", ask)


@pytest.mark.parametrize(
    ("problems", "code", "status", "words"),
    [
        (
            (Problem(Side.REFLOW, ProblemKind.NOT_FINITE, "does not load: NaN in y"),),
            "weights-not-finite",
            1,
            "acts wrongly: weights-not-finite",
        ),
        (
            (Problem(Side.REFLOW, ProblemKind.DOES_NOT_LOAD, "does not load: x"),),
            "does-not-load",
            1,
            "does not run: does-not-load",
        ),
        (
            (Problem(Side.REFLOW, ProblemKind.CANNOT_ACT, "cannot act: KeyError: 'z'"),),
            "cannot-act",
            1,
            "cannot-act: REFLOW cannot act: KeyError: 'z'",
        ),
        (
            tuple(
                Problem(side, ProblemKind.DOES_NOT_LOAD, "does not load: no VLM") for side in Side
            ),
            "",
            2,
            "live comparison failed: NORMAL does not load: no VLM",
        ),
        (
            ProbeFailed("the probe failed: Killed"),
            "",
            2,
            "live comparison failed: the probe failed: Killed",
        ),
    ],
)
def test_a_probe_that_could_not_measure(  # noqa: PLR0913, PLR0917 - cases
    problems: Any,
    code: str,
    status: int,
    words: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    answering(monkeypatch, problems)
    pair = [str(NORMAL), str(FIXTURES / "reflow-clean")]
    assert main(["doctor", *pair]) == status
    assert words in capsys.readouterr().out
    assert main(["doctor", *pair, "--format", "json"]) == status
    found = json.loads(capsys.readouterr().out)
    assert [cause["code"] for cause in found["causes"]] == [code] * bool(code)
    assert not found["clean"]


def test_a_cause_in_the_files_explains_why_it_does_not_load(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    text = "does not load: it has use_reflow"
    answering(monkeypatch, (Problem(Side.REFLOW, ProblemKind.DOES_NOT_LOAD, text),))
    found = api.diagnose(str(NORMAL), str(FIXTURES / "reflow"), ProbeOptions())
    assert "does-not-load" not in [str(cause.code) for cause in found.causes]
    assert note_text(found.notes[0]) == (
        "nothing could be measured: REFLOW does not load: it has use_reflow; apply the "
        "repairs and run the doctor again"
    )


def test_an_environment_that_is_as_slow_with_both_is_a_note_and_exits_with_0(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    answering(monkeypatch, measurement(side(), environment=rollout(0.01, (0.05, 0.05))))
    assert main(["doctor", str(NORMAL), str(FIXTURES / "reflow-clean")]) == 0
    shown = capsys.readouterr().out
    assert "both wait for the environment's step() most of the time (REFLOW 83%)" in shown
    assert "slow:" not in shown


def test_the_worst_frames_are_shown_beside_the_mean(monkeypatch: pytest.MonkeyPatch) -> None:
    near, far = chunks(), chunks()[:1] + chunks(1.0)[1:]
    assert len(near) > 1
    reflow = side(dict.fromkeys(bent(0.0), far))
    answering(monkeypatch, measurement(reflow))
    found = api.diagnose(str(NORMAL), str(FIXTURES / "reflow-clean"), ProbeOptions())
    assert found.live is not None
    assert found.live.own_steps.frames[0] == 0
    shown = text.render(page(found))
    assert f"of {len(near)} further than 0.5, which are other actions" in shown


def test_the_page_shows_the_measurements_in_80_columns(monkeypatch: pytest.MonkeyPatch) -> None:
    answering(
        monkeypatch,
        measurement(side(bent(0.05)), crossed=chunks(), environment=rollout(0.05, (0.01, 0.01))),
    )
    shown = page(api.diagnose(str(NORMAL), str(FIXTURES / "reflow-clean"), ProbeOptions()))
    plain = text.render(shown)
    for words in (
        "10 N R",
        "prefix",
        "all, in NORMAL's processors",
        "Environment toy, 20 steps",
        "slow: num-steps",
        "set num_steps 1",
    ):
        assert words in plain
        assert words in markdown.render(shown).replace("\\", "")
    tables = [
        line
        for line in plain.splitlines()
        if line.startswith("  ") and not line.startswith("    ") and "✗" not in line
    ]
    assert max(map(len, tables)) <= 80


def test_a_plot_is_written_without_a_display(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    answering(monkeypatch, measurement(side(bent(0.05), num_steps=1)))
    monkeypatch.delenv("DISPLAY", raising=False)
    for name, start in (("x.png", b"\x89PNG"), ("x.svg", b"<?xml"), ("x.pdf", b"%PDF")):
        assert (
            main(
                [
                    "doctor",
                    str(NORMAL),
                    str(FIXTURES / "reflow-clean"),
                    "--plot",
                    str(tmp_path / name),
                ]
            )
            == 0
        )
        assert (tmp_path / name).read_bytes().startswith(start)
    assert "nothing wrong found: a chunk takes" in capsys.readouterr().out


def test_without_matplotlib_nothing_is_measured_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    answering(monkeypatch, AssertionError("asked"))
    monkeypatch.setattr("ckpt_tools.doctor.plot.find_spec", lambda _name: None)
    assert main(["doctor", str(NORMAL), str(NORMAL), "--plot", str(tmp_path / "x.png")]) == 2
    assert (
        "--plot needs matplotlib, which is not installed; pip install 'ckpt-tools[plot]'"
        in capsys.readouterr().err
    )


def test_nothing_is_plotted_where_nothing_was_measured(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    answering(monkeypatch, ProbeFailed("the probe failed: Killed"))
    assert (
        main(
            [
                "doctor",
                str(NORMAL),
                str(FIXTURES / "reflow-clean"),
                "--plot",
                str(tmp_path / "x.png"),
            ]
        )
        == 2
    )
    assert "x.png was not written: nothing was measured" in capsys.readouterr().err
    assert not (tmp_path / "x.png").exists()


def test_an_answer_with_modified_observations_is_rejected() -> None:
    with pytest.raises(ProbeFailed, match="the two policies did not get the same"):
        parsed({"inputs": {"unchanged": False}})
    with pytest.raises(ProbeFailed, match="the probe's answer is incomplete"):
        parsed({"inputs": {"unchanged": True}})


def test_the_documented_example_has_the_columns_of_the_report() -> None:
    documented = (FIXTURES.parent / "docs/doctor.md").read_text(encoding="utf-8").splitlines()
    head = next(line for line in documented if line.startswith("  steps "))
    table = next(block for block in live_blocks(live(side())) if isinstance(block, Table))
    assert re.split(r"\s{2,}", head.strip()) == list(table.header)
