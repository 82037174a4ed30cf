"""No decision depends on a sentence: with every text replaced, a diagnosis stays the same.

Codes, paths, subjects, kinds, sides and numbers stay; all words that people read become "x1".
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any

import pytest

from ckpt_tools.api import _doctor, _doctor_live, verify
from ckpt_tools.cli.main import main
from ckpt_tools.doctor.measurement import Measurement, Side
from ckpt_tools.doctor.model import Cause, Problem, ProblemKind
from ckpt_tools.doctor.repairs import commands
from ckpt_tools.rules.remedy import Remedy
from tests.support.cases import FIXTURES, NORMAL
from tests.support.doctor_faults import FAULTS, broken
from tests.support.measurements import bent, chunks, measurement, rollout, rounds, side

if TYPE_CHECKING:
    from ckpt_tools.doctor.model import Diagnosis
    from ckpt_tools.rules.finding import Finding, Verification

_STUDENT = str(FIXTURES / "reflow-clean")
_STEPS = (1, 2, 4, 10)
CAUSES = ("causes", "dtype_causes", "measured_causes", "setting_causes", "time_causes")
"""Modules that make causes."""

ANSWERS: dict[str, Measurement | tuple[Problem, ...]] = {
    "straight at ten steps": measurement(side(bent(0.05))),
    "bent at one step": measurement(side(bent(0.6), num_steps=1)),
    "bent, synthetic": measurement(side(bent(0.6), num_steps=1), synthetic=True),
    "far from NORMAL": measurement(side(bent(0.8) | {10: chunks(2.0)})),
    "far from NORMAL, synthetic": measurement(side(bent(0.8) | {10: chunks(2.0)}), synthetic=True),
    "out of range": measurement(side(bent(0.8) | {10: chunks(times=20.0)})),
    "NaN": measurement(side(dict.fromkeys(_STEPS, (((float("nan"),) * 2,),)))),
    "other processors": measurement(
        side({steps: chunks(3.0) for steps in _STEPS}), crossed=chunks()
    ),
    "slower": measurement(side(times=rounds(prefix=0.3))),
    "slow environment": measurement(side(), environment=rollout(0.01, (0.05, 0.05))),
    "slowed environment": measurement(side(), environment=rollout(0.05, (0.01, 0.03))),
    **{
        f"rollout ended by {failed}": measurement(
            side(), environment=rollout(0.05, (0.01, 0.01), "REFLOW or NORMAL failed", failed)
        )
        for failed in Side
    },
    **{
        f"{at} {kind}": (Problem(at, kind, "does not load: it holds NaN or infinity"),)
        for at in Side
        for kind in ProblemKind
    },
}
"""Answers of a probe."""


DIAGNOSE = _doctor.diagnose
VERIFY = cache(verify)
"""What rules find in files that do not change; the tests replace its words."""


def outcome(reflow: str, *options: str) -> tuple[object, ...]:
    """Everything in a diagnosis that decides something, and the exit code of the command."""
    made = []

    def diagnose(*arguments: Any, **named: Any) -> Diagnosis:
        made.append(DIAGNOSE(*arguments, **named))
        return made[0]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(_doctor, "diagnose", diagnose)
        status = main(["doctor", str(NORMAL), reflow, *options])
    (found,) = made
    return (
        [(cause.code, cause.effect, cause.repair.argv) for cause in found.causes],
        [[fact.code for fact in cause.because] for cause in found.causes],
        [remedy.argv for remedy in commands(found.causes)],
        [(note.kind, note.number) for note in found.notes],
        found.skipped and found.skipped.reason,
        found.failed,
        status,
    )


def reworded(finding: Finding) -> Finding:
    """The same finding in other words."""
    return finding._replace(what="x1", remedy=finding.remedy._replace(text="x1"))


def reword_answer(answer: Measurement | tuple[Problem, ...]) -> Measurement | tuple[Problem, ...]:
    """The same answer of a probe in other words."""
    if not isinstance(answer, Measurement):
        return tuple(problem._replace(text="x1") for problem in answer)
    ended = answer.environment and answer.environment._replace(
        kind="x1", problem="x1" if answer.environment.problem else ""
    )
    return answer._replace(what="x1", device="x1", not_crossed="x1", environment=ended)


@pytest.fixture
def reword(monkeypatch: pytest.MonkeyPatch) -> Any:
    """A function that replaces the sentences of rules, of causes and of repairs."""
    monkeypatch.setattr(_doctor, "verify", VERIFY)

    def other_findings(*arguments: Any, **options: Any) -> Verification:
        found = VERIFY(*arguments, **options)
        return found._replace(findings=tuple(map(reworded, found.findings)))

    def other_cause(*values: Any, **named: Any) -> Cause:
        cause = Cause(*values, **named)
        return cause._replace(
            what="x1",
            measured="x1" if cause.measured else "",
            because=tuple(fact._replace(text="x1") for fact in cause.because),
        )

    def other_remedy(*values: Any, **named: Any) -> Remedy:
        remedy = Remedy(*values, **named)
        return remedy._replace(text="x1") if remedy.text else remedy

    def install() -> None:
        monkeypatch.setattr(_doctor, "verify", other_findings)
        for module in CAUSES:
            monkeypatch.setattr(f"ckpt_tools.doctor.{module}.Cause", other_cause)
        for module in ("causes", "dtype_causes", "measured_causes", "repairs", "time_causes"):
            monkeypatch.setattr(f"ckpt_tools.doctor.{module}.Remedy", other_remedy)
        for name in ("Cause", "Remedy"):
            monkeypatch.setattr(_doctor, name, {"Cause": other_cause, "Remedy": other_remedy}[name])

    return install


@pytest.mark.parametrize("name", FAULTS)
def test_causes_repairs_and_exit_code_of_a_fault_do_not_depend_on_words(
    name: str, tmp_path: Any, reword: Any
) -> None:
    bad = str(broken(name, tmp_path / "bad"))
    before = outcome(bad, "--no-live")
    reword()
    assert outcome(bad, "--no-live") == before


@pytest.mark.parametrize("name", ANSWERS)
@pytest.mark.parametrize("student", [_STUDENT, str(FIXTURES / "f32-vlm")])
def test_causes_repairs_and_exit_code_of_a_measurement_do_not_depend_on_words(
    name: str, student: str, monkeypatch: pytest.MonkeyPatch, reword: Any
) -> None:
    monkeypatch.setattr(_doctor_live, "run_probe", lambda *_: ANSWERS[name])
    before = outcome(student)
    reword()
    monkeypatch.setattr(_doctor_live, "run_probe", lambda *_: reword_answer(ANSWERS[name]))
    assert outcome(student) == before
