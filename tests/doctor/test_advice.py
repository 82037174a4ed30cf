"""What the doctor advises: nothing that harms, and nothing that does not help."""

from __future__ import annotations

import shlex
import shutil
from pathlib import Path
from typing import Any

import pytest

from ckpt_tools import api
from ckpt_tools.api._doctor_live import ProbeOptions
from ckpt_tools.cli.main import main
from ckpt_tools.doctor.measurement import Side
from ckpt_tools.doctor.model import Problem, ProblemKind
from tests.support.cases import FIXTURES, NORMAL, changed, config
from tests.support.doctor_faults import FAULTS, broken
from tests.support.models import model


def test_a_folder_without_a_dataset_is_one_line_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def never(*_: object) -> None:
        pytest.fail("a checkpoint was read")

    monkeypatch.setattr("ckpt_tools.api._doctor.read", never)
    (tmp_path / "file").write_text("")
    (tmp_path / "folder").mkdir()
    for where, words in (
        (tmp_path / "absent", "no such folder; expected a LeRobot dataset: a folder, or USER/NAME"),
        (Path("absent"), "no such folder; expected a LeRobot dataset: a folder, or USER/NAME"),
        (tmp_path / "file", "is a file; expected the folder of a LeRobot dataset"),
        (tmp_path / "folder", "is no LeRobot dataset: it has no meta/info.json"),
    ):
        assert main(["doctor", str(NORMAL), str(FIXTURES / "reflow"), "--dataset", str(where)]) == 2
        printed = capsys.readouterr()
        assert f"{where}: {words}" in printed.err
        assert (printed.err.count("\n"), printed.out) == (1, "")


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (ProbeOptions(), ()),
        (
            ProbeOptions(dataset=Path("cubes"), observations=8, base=("a/b=c", "d/e=f")),
            ("--dataset", "cubes", "--frames", "8", "--base", "a/b=c", "--base", "d/e=f"),
        ),
        (
            ProbeOptions("x.safetensors", "", "pusht", "gym_pusht", 7, 3),
            (
                *("--batch", "x.safetensors", "--env", "pusht", "--env-package", "gym_pusht"),
                *("--repeats", "7", "--seed", "3"),
            ),
        ),
    ],
)
def test_options_are_spelled_as_the_command_takes_them(
    options: ProbeOptions, words: tuple[str, ...]
) -> None:
    assert options.words() == words


@pytest.mark.parametrize("change", [config(num_steps=1), config(n_action_steps=50)])
def test_of_a_swapped_pair_no_command_changes_the_healthy_one(
    change: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.copytree(FIXTURES / "reflow", tmp_path / "student")
    change(tmp_path / "student")
    healthy = changed(tmp_path / "teacher's", config(num_steps=10, n_action_steps=5))
    assert main(["doctor", str(tmp_path / "student"), str(healthy), "--no-live"]) == 1
    printed = capsys.readouterr().out
    assert "to repair it" not in printed
    assert "ckpt config" not in printed
    exchanged = shlex.join(["ckpt", "doctor", str(healthy), str(tmp_path / "student"), "--no-live"])
    assert f"first run: {exchanged}\n" in printed


def test_what_a_probe_says_names_the_checkpoint_and_no_folder_that_is_gone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def answer(_family: str, request: dict[str, Any], *_: object) -> tuple[Problem, ...]:
        text = f"does not load: run `ckpt sanitize {request['reflow']}`"
        return (Problem(Side.REFLOW, ProblemKind.DOES_NOT_LOAD, text),)

    monkeypatch.setattr("ckpt_tools.api._doctor_live.run_probe", answer)
    bases = (f"HuggingFaceTB/SmolVLM2-500M-Video-Instruct={tmp_path}",)
    student = str(FIXTURES / "reflow-clean")
    (cause,) = api.diagnose(str(NORMAL), student, ProbeOptions(base=bases)).causes
    assert cause.what == f"REFLOW does not load: run `ckpt sanitize {student}`"


def test_findings_without_a_subject_get_one(tmp_path: Path) -> None:
    def what(change: Any) -> str:
        folder = tmp_path / str(len(list(tmp_path.iterdir())))
        return api.diagnose(str(NORMAL), str(changed(folder, change))).causes[0].what

    assert what(FAULTS["no preprocessor"].change).startswith("policy_preprocessor.json is missing:")
    assert "disagree: action.mean differs from the preprocessor's" in what(
        FAULTS["statistics of another dataset on the way out"].change
    )
    assert "model.safetensors cannot be read: it is truncated" in what(FAULTS["cut short"].change)


@pytest.mark.parametrize("name", FAULTS)
def test_no_cause_begins_with_a_verb(name: str, tmp_path: Path) -> None:
    for cause in api.diagnose(str(NORMAL), str(broken(name, tmp_path / "bad"))).causes:
        start = cause.what.removeprefix("the two processors disagree: ").split()[0]
        assert start not in {"is", "has", "differs", "lacks", "names", "contains", "needs"}, cause


def test_a_policy_that_no_probe_runs_is_referred_to_lerobot_and_not_to_the_training_core(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    features = {
        "input_features": {"observation.state": {"type": "STATE", "shape": [6]}},
        "output_features": {"action": {"type": "ACTION", "shape": [7]}},
    }
    pair = [
        str(
            model(
                tmp_path / name,
                {"model.action_head.bias": (7,)},
                {"config.json": {"type": "act", **features}},
            )
        )
        for name in ("teacher", "student")
    ]
    assert main(["doctor", *pair]) == 0
    printed = capsys.readouterr().out
    assert "no installed probe loads act checkpoints; `ckpt verify" in printed
    assert f"{pair[1]} --load` loads REFLOW in LeRobot and acts once" in printed
    assert "lerobot_policy" not in printed
