"""The exchange with a probe: progress, answers, and every way in which it may fail to answer.

The probes are real processes, without a model.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import pytest

from ckpt_tools.cli.main import main
from ckpt_tools.doctor import probe as doctor_probe
from ckpt_tools.doctor.measurement import Side
from ckpt_tools.doctor.model import Problem, ProblemKind
from ckpt_tools.errors import InputsRefused, ProbeFailed, ProbeMissing
from tests.support.cases import FIXTURES, NORMAL

if TYPE_CHECKING:
    from collections.abc import Callable

ECHO = """
import json, sys
request = json.load(sys.stdin)
print(json.dumps({"progress": [1, 2]}), flush=True)
print("a line of logging", flush=True)
print("x" * 300000, file=sys.stderr)
print(json.dumps({"progress": [2, 2]}), flush=True)
print(json.dumps({"protocol": 1, "refused": "", "problems": {"reflow": request["reflow"]}}))
"""


@pytest.fixture
def speak(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """Make this script the probe, which needs nothing from the Hub."""
    monkeypatch.setattr("ckpt_tools.api._doctor_live._lacking", lambda *_: "")

    def install(script: str) -> None:
        monkeypatch.setattr(
            doctor_probe, "_command", lambda _family: [sys.executable, "-c", script]
        )

    return install


def ask(told: list[tuple[int, int]] | None = None) -> object:
    return doctor_probe.diagnose(
        "smolvla",
        {"reflow": "r"},
        lambda done, total: None if told is None else told.append((done, total)),
    )


def test_progress_is_passed_on_and_the_last_object_is_the_answer(
    speak: Callable[[str], None],
) -> None:
    speak(ECHO)
    told: list[tuple[int, int]] = []
    assert ask(told) == (Problem(Side.REFLOW, ProblemKind.CANNOT_ACT, "r"),)
    assert told == [(1, 2), (2, 2)]


@pytest.mark.parametrize(
    ("script", "words"),
    [
        (
            "import sys; sys.stdin.read(); sys.exit('out of memory')",
            "the probe failed: out of memory",
        ),
        (
            "import os, sys; sys.stdin.read(); os.kill(os.getpid(), 9)",
            "the probe failed: exit status -9",
        ),
        ("import os; os.close(0)", "the probe failed: exit status 0"),
        ("import sys; sys.stdin.read(); print('no JSON')", "the probe failed: exit status 0"),
        (
            "import sys; sys.stdin.read(); print('{\"problems\": []}')",
            "the probe uses protocol none; this version of ckpt uses 1",
        ),
        (
            "import sys; sys.stdin.read(); print('{\"protocol\": 2}')",
            "the probe uses protocol 2; this version of ckpt uses 1",
        ),
        (
            "import sys; sys.stdin.read(); print('{\"protocol\": 1}')",
            "the probe's answer is incomplete (KeyError: 'inputs')",
        ),
        (
            'import sys; sys.stdin.read(); print(\'{"protocol": 1, "inputs": 3}\')',
            "the probe's answer is incomplete (TypeError",
        ),
    ],
)
def test_a_probe_that_does_not_answer_is_an_error_with_a_hint(
    script: str, words: str, speak: Callable[[str], None]
) -> None:
    speak(script)
    with pytest.raises(ProbeFailed) as raised:
        ask()
    assert words in str(raised.value)
    assert raised.value.next


def test_a_request_that_the_probe_rejects_exits_with_2(
    speak: Callable[[str], None], capsys: pytest.CaptureFixture[str]
) -> None:
    speak(
        "import sys; sys.stdin.read(); "
        'print(\'{"protocol": 1, "refused": "b.safetensors has no observation.state"}\')'
    )
    with pytest.raises(InputsRefused):
        ask()
    assert (
        main(
            [
                "doctor",
                str(NORMAL),
                str(FIXTURES / "reflow-clean"),
                "--batch",
                str(NORMAL / "model.safetensors"),
            ]
        )
        == 2
    )
    assert capsys.readouterr().err.startswith(
        "ckpt: b.safetensors has no observation.state; see docs/doctor.md"
    )


def test_a_family_without_a_probe_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor_probe, "GROUP", "ckpt_tools.probes.nobody")
    with pytest.raises(ProbeMissing, match="no installed probe loads smolvla checkpoints"):
        ask()


def test_an_interrupt_ends_the_probe(speak: Callable[[str], None]) -> None:
    speak(ECHO + "\nimport time; time.sleep(600)")

    def interrupted(_done: int, _total: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        doctor_probe.diagnose("smolvla", {"reflow": "r"}, interrupted)


@pytest.mark.parametrize(
    ("kinds", "kind"),
    [
        ({"reflow": "not-finite"}, ProblemKind.NOT_FINITE),
        ({"reflow": "does-not-load"}, ProblemKind.DOES_NOT_LOAD),
        ({"reflow": "cannot-act"}, ProblemKind.CANNOT_ACT),
        ({"reflow": "a later kind"}, ProblemKind.CANNOT_ACT),
        ({}, ProblemKind.CANNOT_ACT),
        (["reflow"], ProblemKind.CANNOT_ACT),
        (None, ProblemKind.CANNOT_ACT),
    ],
)
def test_the_kind_of_a_problem_is_a_field_of_the_answer(kinds: object, kind: ProblemKind) -> None:
    text = "does not load: it holds NaN or infinity"
    answer = {"problems": {"reflow": text}} | ({} if kinds is None else {"kinds": kinds})
    assert doctor_probe.problems(answer) == (Problem(Side.REFLOW, kind, text),)


@pytest.mark.parametrize(
    ("fields", "steps", "failed"),
    [
        ({"problem": "", "failed": ""}, (2, 2), None),
        ({"problem": "x", "failed": "normal"}, (2, 2), Side.NORMAL),
        ({"problem": "x", "failed": "reflow"}, (2, 2), Side.REFLOW),
        ({"problem": "REFLOW in toy"}, (2, 2), Side.NORMAL),
        ({"problem": "NORMAL in toy"}, (3, 2), Side.REFLOW),
        ({"problem": ""}, (2, 2), None),
    ],
)
def test_the_side_that_ended_a_rollout_is_a_field_or_follows_from_the_steps(
    fields: dict[str, str], steps: tuple[int, int], failed: Side | None
) -> None:
    sides = {
        str(at): {"infer": [0.1] * number, "step": [0.1] * number}
        for at, number in zip(Side, steps, strict=True)
    }
    assert doctor_probe._environment({"type": "toy", **fields, **sides}).failed is failed
