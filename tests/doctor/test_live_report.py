"""The doctor's live comparison through its command and `api`, with a stand-in for the probe."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

import pytest

from ckpt_tools import api
from ckpt_tools.api._doctor_live import ProbeOptions
from ckpt_tools.cli.main import main
from ckpt_tools.doctor.measurement import Interval, Side
from ckpt_tools.doctor.model import Problem, ProblemKind
from ckpt_tools.doctor.probe import measurement as parsed
from ckpt_tools.doctor.statistics import summarize
from ckpt_tools.errors import ProbeFailed
from ckpt_tools.report.blocks import Table
from ckpt_tools.report.formats import markdown, text
from ckpt_tools.report.pages.diagnosis import duration, note_text, page
from ckpt_tools.report.pages.measurements import live_blocks
from tests.support.cases import FIXTURES, NORMAL
from tests.support.measurements import (
    SCALE,
    bent,
    chunks,
    measurement,
    rollout,
    side,
)

if TYPE_CHECKING:
    from pathlib import Path

    from ckpt_tools.doctor.measurement import Measurement


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

    monkeypatch.setattr("ckpt_tools.api._doctor_live._lacking", lambda *_: "")  # what the Hub has
    monkeypatch.setattr("ckpt_tools.api._doctor_live.run_probe", ask)


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


@pytest.mark.parametrize(
    ("low", "high", "words"),
    [
        (0.7, 1.4, "a chunk takes as long as NORMAL's (0.7 to 1.4 times)"),
        (0.3, 0.9, "a chunk takes 0.5 times as long as NORMAL's (0.3 to 0.9 times)"),
    ],
)
def test_a_ratio_whose_interval_has_1_in_it_is_no_difference(
    low: float, high: float, words: str
) -> None:
    assert duration(Interval(0.5, low, high, 9)) == words


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
    table = next(
        block
        for block in live_blocks(summarize(measurement(side()), SCALE, SCALE))
        if isinstance(block, Table)
    )
    assert re.split(r"\s{2,}", head.strip()) == list(table.header)
