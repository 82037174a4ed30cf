"""The tables: 80 columns in a terminal, full names in Markdown; the plot."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest
from lerobot_reflow.compare import plot
from lerobot_reflow.compare.document import Measured, make_document
from lerobot_reflow.compare.environment import Episodes
from lerobot_reflow.compare.policies import Checkpoint, Policy, Row
from lerobot_reflow.compare.table import Table, tables, to_markdown, to_text

LONG = "a student with a name that is longer than a column | can be"


def times(scale: float) -> dict[str, Any]:
    spread = {"median": 120.25 * scale, "quartiles": [99.5 * scale, 1234.5 * scale]}
    return {"prefix_ms": spread, "denoise_ms": spread, "total_ms": spread}


def checkpoints(*names: str) -> tuple[Checkpoint, ...]:
    return tuple(Checkpoint(Path("/nowhere", name), {"type": "smolvla"}) for name in names)


@pytest.fixture
def measured(monkeypatch: pytest.MonkeyPatch) -> list[Measured]:
    """A teacher that always succeeds, and two seeds of a student that never do."""
    monkeypatch.setattr(Checkpoint, "digest", "0")
    teacher = Policy("teacher", checkpoints("t"))
    student = Policy(LONG, checkpoints("a", "b"))
    episodes = [
        Episodes(("t/0",), ((success,) * 100,), Path("runs")) for success in (True, False, False)
    ]
    return [
        Measured(Row(teacher, 10), episodes=(episodes[0],), latency=times(10)),
        Measured(Row(student, 1), episodes=tuple(episodes[1:]), latency=times(1)),
    ]


SETTINGS: dict[str, Any] = {
    "mode": "environment",
    "environment": {"arguments": [], "episodes": 100, "seed": 1000},
    "n_action_steps": 16,
    "latency": {
        "device": "cpu",
        "threads": 1,
        "rounds": 20,
        "compiled": {"mode": "default", "first_call_s": 99.6, "total_ms": times(1)["total_ms"]},
        "not_compiled": None,
    },
}


def test_tables_fit_a_terminal(measured: list[Measured]) -> None:
    success, latency = map(to_text, tables(make_document(measured, 0.5, SETTINGS)))
    assert success.splitlines() == [
        "Success in 100 episodes per run from seed 1000, 16 actions executed per chunk.",
        "Differences are to the teacher at 10 steps in the same episodes.",
        "policy                    steps  success       95 %  diff.          95 %       p",
        "teacher                      10     100%  96 to 100      -             -       -",
        "a student with a name t…      1       0%     0 to 2  -100%  -100 to -100  <0.001",
    ]
    assert max(map(len, [*success.splitlines(), *latency.splitlines()])) <= 80


def test_markdown_has_full_names(measured: list[Measured]) -> None:
    found = to_markdown(tables(make_document(measured, 0.5, SETTINGS))[0]).splitlines()
    assert found[3] == "| --- | ---: | ---: | ---: | ---: | ---: | ---: |"
    assert found[5].startswith(f"| {LONG.replace('|', chr(92) + '|')}, 2 seeds | 1 | 0% | 0 to 2 |")
    assert len({line.replace("\\|", "").count("|") for line in found[2:]}) == 1


def test_a_table_without_rows_has_its_head() -> None:
    assert to_text(Table("caption", ("policy", "steps"), ())) == "caption\npolicy  steps"


def test_the_same_numbers_draw_the_same_plot(measured: list[Measured], tmp_path: Path) -> None:
    document = make_document(measured, 0.5, SETTINGS)
    for name in ("a", "b"):
        assert plot.draw(document, [tmp_path / f"{name}.svg", tmp_path / f"{name}.png"])
    for suffix in ("svg", "png"):
        first, second = ((tmp_path / f"{name}.{suffix}").read_bytes() for name in "ab")
        assert first == second


def test_without_matplotlib_there_is_no_plot(
    measured: list[Measured], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(plot, "find_spec", lambda _: None)
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    assert not plot.draw(make_document(measured, 0.5, SETTINGS), [tmp_path / "a.png"])
    assert not list(tmp_path.iterdir())
