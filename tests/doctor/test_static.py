"""Diagnoses of files alone.

Each fault has its causes and no others, and a command that repairs it; a healthy student has none.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from functools import cache
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from ckpt_tools import api
from ckpt_tools.cli.main import main
from ckpt_tools.doctor.model import CauseCode, NoteKind
from ckpt_tools.doctor.repairs import commands
from ckpt_tools.report.json import diagnosis as diagnosis_json
from ckpt_tools.report.json.document import dump
from ckpt_tools.report.pages.diagnosis import note_text
from ckpt_tools.storage import schemas
from tests.support.cases import (
    FIXTURES,
    NORMAL,
    added,
    both,
    changed,
    config,
    edited,
    make,
    tensors,
)
from tests.support.doctor_faults import FAULTS, broken, fixture

ROOT = FIXTURES.parent
LIVE_ONLY = {
    *(
        "does-not-load",
        "cannot-act",
        "weights-not-finite",
        "actions-not-finite",
        "too-few-steps",
        "actions-out-of-range",
        "actions-differ",
    ),
    *("slower", "environment-slow", "environment-slowed"),
}
"""Causes that only a measurement shows; test_measured has them."""


def causes(folder: Path) -> set[str]:
    return {str(cause.code) for cause in api.diagnose(str(NORMAL), str(folder)).causes}


def run(command: str, folder: Path) -> None:
    """Run what was printed, as a shell would that has `ckpt` on its path."""
    here = os.environ | {
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        "PYTHONPATH": str(ROOT),
    }
    done = subprocess.run(
        ["sh", "-c", command], cwd=folder, env=here, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, f"{command}\n{done.stderr}{done.stdout}"


@cache
def validator() -> jsonschema.Draft202012Validator:
    schema = schemas.load("diagnosis")
    jsonschema.Draft202012Validator.check_schema(schema)
    return jsonschema.Draft202012Validator(schema)


@pytest.mark.parametrize("name", FAULTS)
def test_a_fault_has_its_causes_and_no_others_in_json_that_follows_the_schema(
    name: str, tmp_path: Path
) -> None:
    found = api.diagnose(str(NORMAL), str(broken(name, tmp_path / "bad")))
    document = json.loads(dump(diagnosis_json.document(found)))
    validator().validate(document)
    assert {cause["code"] for cause in document["causes"]} == FAULTS[name].causes
    assert not document["clean"]


@pytest.mark.parametrize("name", [name for name, fault in FAULTS.items() if fault.command])
def test_the_printed_commands_repair_it(name: str, tmp_path: Path) -> None:
    bad = broken(name, tmp_path / "it's bad")
    found = commands(api.diagnose(str(NORMAL), str(bad)).causes)
    assert found
    assert any(str(command).startswith(FAULTS[name].command) for command in found)
    for command in found:
        run(str(command), tmp_path)
    written = tmp_path / "it's bad-clean"
    assert written.exists() == any(command.argv[1] == "sanitize" for command in found)
    assert causes(written if written.exists() else bad) == set()


@pytest.mark.parametrize("name", [name for name, fault in FAULTS.items() if not fault.command])
def test_a_cause_without_a_repairing_command_has_advice(name: str, tmp_path: Path) -> None:
    found = api.diagnose(str(NORMAL), str(broken(name, tmp_path / "bad"))).causes
    assert all(cause.repair.text and not cause.repair.argv for cause in found)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (
            tensors(lambda held: {name: held[name] for name in held if ".vlm." not in name}),
            "345 tensors missing (vision tower, connector, text model, lm_head)",
        ),
        (
            config(use_cache=False),
            "use_cache is false: stock LeRobot loads the policy and crashes at the first inference",
        ),
        (
            config(add_image_special_tokens=True),
            "add_image_special_tokens is true, and false in NORMAL",
        ),
        (config(num_expert_layers=3), "num_expert_layers is 3"),
        (
            tensors(lambda held: held | make.under("guide.", held)),
            ("500 tensors, 87,718 bytes that the loader does not read (other): it drops them; the"),
        ),
    ],
)
def test_a_cause_names_the_key_and_everything_that_its_rules_found(
    change: Any, words: str, tmp_path: Path
) -> None:
    said = [
        cause.what
        for cause in api.diagnose(str(NORMAL), str(changed(tmp_path / "bad", change))).causes
    ]
    assert any(words in one for one in said), said


def test_every_cause_in_files_has_a_fault() -> None:
    tested = {code for fault in FAULTS.values() for code in fault.causes}
    # Another size of model is no fault of a copy of the normal one: the next test has it.
    assert tested | LIVE_ONLY | {"other-model"} == set(map(str, CauseCode))


def test_a_model_of_another_size_is_a_cause_of_its_own(tmp_path: Path) -> None:
    wide = changed(tmp_path / "wide", config(max_action_dim=64))
    assert "other-model" in causes(wide)
    [repair] = [
        cause.repair
        for cause in api.diagnose(str(NORMAL), str(wide)).causes
        if cause.code is CauseCode.OTHER_MODEL
    ]
    assert repair.text
    assert not repair.argv


def test_an_index_that_counts_wrongly_can_be_read(tmp_path: Path) -> None:
    miscounted = changed(
        tmp_path / "bad",
        both(
            fixture("sharded"), edited("model.safetensors.index.json", metadata={"total_size": 1})
        ),
    )
    assert causes(miscounted) == {"weights-not-found"}


@pytest.mark.parametrize(
    "change",
    [
        config(),
        config(num_steps=1),
        config(num_steps=2, optimizer_lr=1e-6),
        config(repo_id="user/student", device="cuda"),
    ],
)
def test_a_healthy_student_has_no_cause(change: Any, tmp_path: Path) -> None:
    assert causes(changed(tmp_path / "student", change)) == set()
    assert causes(FIXTURES / "reflow-clean") == set()


def test_a_fault_of_both_checkpoints_is_not_a_cause(tmp_path: Path) -> None:
    shared = changed(tmp_path / "both", config(vlm_model_name="/home/robot/vlm"))
    found = api.diagnose(str(shared), str(shutil.copytree(shared, tmp_path / "copy")))
    assert found.causes == ()
    assert any(note_text(note).startswith("1 finding in both") for note in found.notes)


def test_the_worst_cause_comes_first_and_sanitize_last(tmp_path: Path) -> None:
    bad = broken("as the fork saves it", tmp_path / "bad")
    config(n_action_steps=5)(bad)
    found = api.diagnose(str(NORMAL), str(bad)).causes
    assert [str(cause.effect) for cause in found] == ["breaks", "slow", "slow", "heavy", "heavy"]
    assert [command.argv[1] for command in commands(found)] == ["config", "sanitize"]


_NO_JSON = {
    "config.json cut short": added("config.json", '{"a":'),
    "config.json a list": added("config.json", "[]"),
    "a key twice": added("config.json", '{"type": "smolvla", "type": "act"}'),
    "config.json not UTF-8": added("config.json", b'{"a": "\xff"}'),
    "the preprocessor": added("policy_preprocessor.json", "{"),
    "train_config.json": added("train_config.json", "{"),
    "the index": both(fixture("sharded"), added("model.safetensors.index.json", "{")),
}


@pytest.mark.parametrize("name", _NO_JSON)
def test_json_that_cannot_be_read_is_a_cause_and_exits_with_1(
    name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    bad = changed(tmp_path / "bad", _NO_JSON[name])
    assert causes(bad) == {"unreadable"}
    assert main(["doctor", str(NORMAL), str(bad), "--no-live"]) == 1
    assert "does not run: unreadable" in capsys.readouterr().out


def test_an_unreadable_checkpoint_is_reported_whatever_its_severity_in_the_settings(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    bad = changed(tmp_path / "bad", _NO_JSON["config.json a list"])
    (tmp_path / "ckpt.toml").write_text('[severity]\nCK604 = "note"\n')
    monkeypatch.chdir(tmp_path)
    assert main(["doctor", str(NORMAL), str(bad), "--no-live"]) == 1
    assert "unreadable: REFLOW cannot be read" in capsys.readouterr().out


@pytest.mark.parametrize("name", ["reflow", "shared-vlm", "f32-vlm", "sharded", "lerobot-0.3"])
def test_a_swapped_pair_is_noted_and_has_no_cause(name: str) -> None:
    found = api.diagnose(str(FIXTURES / name), str(NORMAL))
    assert found.causes == ()
    assert [note.text for note in found.notes if note.kind is NoteKind.SWAPPED] == {
        "reflow": ["reflow-training fields (teacher_model_path, use_reflow) and teacher weights"],
        "shared-vlm": [
            "reflow-training fields (teacher_model_path, use_reflow) and teacher weights"
        ],
    }.get(name, [])


@pytest.mark.parametrize(
    "values",
    [
        {"load_vlm_weights": False},
        {"use_cache": False},
        {"type": "smolvla_reflow"},
        {"use_reflow": True},
    ],
)
def test_a_setting_that_is_wrong_in_normal_only_is_no_cause(
    values: dict[str, Any], tmp_path: Path
) -> None:
    wrong = changed(tmp_path / "wrong", config(**values))
    assert api.diagnose(str(wrong), str(NORMAL)).causes == ()


def test_a_clean_student_in_the_place_of_its_teacher_is_noted(tmp_path: Path) -> None:
    student = shutil.copytree(NORMAL, tmp_path / "student")
    saved = json.loads((student / "train_config.json").read_text())
    saved["policy"]["teacher_model_path"] = "outputs/train/teacher"
    (student / "train_config.json").write_text(json.dumps(saved))
    for damaged, healthy, texts in (
        (student, NORMAL, ["a train_config.json of reflow training"]),
        (NORMAL, student, []),
    ):
        found = api.diagnose(str(damaged), str(healthy)).notes
        assert [note.text for note in found if note.kind is NoteKind.SWAPPED] == texts


def test_two_reflow_checkpoints_are_not_taken_for_a_swapped_pair(tmp_path: Path) -> None:
    copy = shutil.copytree(FIXTURES / "reflow", tmp_path / "copy")
    assert not any(
        note.kind is NoteKind.SWAPPED
        for note in api.diagnose(str(FIXTURES / "reflow"), str(copy)).notes
    )


def test_one_folder_under_two_names_exits_with_2(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "link").symlink_to(NORMAL)
    for other in (NORMAL, tmp_path / "link", NORMAL / "model.safetensors", f"{NORMAL}/../normal/"):
        assert main(["doctor", str(NORMAL), str(other), "--no-live"]) == 2
        printed = capsys.readouterr()
        assert "NORMAL and REFLOW are the same checkpoint; name the teacher" in printed.err
        assert printed.out == ""


def test_another_family_is_not_compared(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["doctor", str(NORMAL), str(FIXTURES / "language-model"), "--no-live"]) == 2
    assert "REFLOW is a llama checkpoint, NORMAL a smolvla one; " in capsys.readouterr().err


# --- the command ----------------------------------------------------------------------------------


def test_the_json_of_the_command_is_that_of_the_library(capsys: pytest.CaptureFixture[str]) -> None:
    pair = (str(NORMAL), str(FIXTURES / "reflow"))
    assert main(["doctor", *pair, "--no-live", "--format", "json"]) == 1
    assert capsys.readouterr().out == dump(diagnosis_json.document(api.diagnose(*pair)))


def test_the_schema_knows_every_code_and_nothing_else() -> None:
    listed = schemas.load("diagnosis")["$defs"]["cause"]["properties"]["code"]["enum"]  # type: ignore[index,call-overload]  # a schema is nested JSON
    assert listed == list(map(str, CauseCode))


@pytest.mark.parametrize("output_format", ["text", "json", "markdown"])
def test_a_healthy_pair_exits_with_0(
    output_format: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert (
        main(
            [
                "doctor",
                str(NORMAL),
                str(FIXTURES / "reflow-clean"),
                "--no-live",
                "--format",
                output_format,
            ]
        )
        == 0
    )
    printed = capsys.readouterr().out
    assert (
        json.loads(printed)["clean"]
        if output_format == "json"
        else "nothing wrong found in the files" in printed
    )


def test_without_a_probe_files_are_compared_and_a_line_explains_how_to_install_it(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("ckpt_tools.doctor.probe.GROUP", "ckpt_tools.probes.nobody")
    assert main(["doctor", str(NORMAL), str(FIXTURES / "reflow-clean")]) == 0
    assert (
        "live comparison skipped: no installed probe loads smolvla checkpoints; install "
        "lerobot_policy"
    ) in capsys.readouterr().out
    assert main(["doctor", str(NORMAL), str(FIXTURES / "f32-vlm")]) == 1


def test_a_processor_that_runs_code_is_not_loaded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def never(*_: object) -> None:
        pytest.fail("the probe was asked")

    monkeypatch.setattr("ckpt_tools.api._doctor_live.run_probe", never)
    bad = changed(tmp_path / "bad", config())
    document = json.loads((bad / "policy_preprocessor.json").read_text())
    document["steps"].append({"class": "package.Step", "config": {}})
    (bad / "policy_preprocessor.json").write_text(json.dumps(document))
    assert main(["doctor", str(NORMAL), str(bad)]) == 2
    assert "names a class to import, and loading it would run that code" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (
            ["--batch", "x", "--dataset", "y"],
            "--batch and --dataset exclude each other",
        ),
        (["--no-live", "--env", "pusht"], "--env has no effect with --no-live"),
        (
            ["--no-live", "--plot", "x.png"],
            "--plot has no effect with --no-live",
        ),
        (
            ["--env-package", "gym_pusht"],
            "--env-package needs --env TYPE, the environment that it registers",
        ),
        (
            ["--batch", "absent.safetensors"],
            "absent.safetensors: no such file; see docs/doctor.md",
        ),
        (
            ["--batch", str(NORMAL)],
            "normal: is a folder; expected a safetensors file; see docs/doctor.md",
        ),
        (["--batch", str(NORMAL / "config.json")], "config.json: cannot be read as safetensors: "),
        (["--repeats", "3"], "3 is not in the range x>=6"),
        (
            ["--plot", "x.bmp"],
            "x.bmp: unsupported file type; expected .png, .svg, .pdf; name an image file",
        ),
        (
            ["--plot", "absent/x.png"],
            "absent/x.png: no such folder: absent; name a file in an existing folder",
        ),
    ],
)
def test_wrong_usage_is_one_line_and_exits_with_2_before_anything_is_loaded(
    arguments: list[str],
    words: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(
        "ckpt_tools.api._doctor_live.run_probe", lambda *_: pytest.fail("the probe was asked")
    )
    assert main(["doctor", str(NORMAL), str(FIXTURES / "reflow-clean"), *arguments]) == 2
    printed = capsys.readouterr()
    assert words in printed.err
    assert printed.err.count("\n") == 1
    assert printed.out == ""


def test_a_missing_checkpoint_exits_with_2(capsys: pytest.CaptureFixture[str]) -> None:
    for pair in ((str(NORMAL), "absent"), ("absent", str(NORMAL))):
        assert main(["doctor", *pair, "--no-live"]) == 2
        assert "absent: no such file or directory" in capsys.readouterr().err


def test_what_cannot_be_fetched_is_told_before_any_library_is_imported(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ckpt_tools.api._doctor_live.run_probe", None)  # calling it would fail
    for name, value in {"HF_HOME": tmp_path / "cache", "HF_HUB_OFFLINE": "1"}.items():
        monkeypatch.setenv(name, str(value))
    monkeypatch.delenv("HF_HUB_CACHE", raising=False)
    student = shutil.copytree(FIXTURES / "reflow-clean", tmp_path / "student")
    code = main(["doctor", str(FIXTURES / "normal"), str(student)])
    captured = capsys.readouterr()
    assert code == 2
    assert (
        "live comparison failed: NORMAL cannot be loaded here: HuggingFaceTB/"
        "SmolVLM2-500M-Video-Instruct is not on this machine, and nothing is downloaded;"
        " give a local copy: --base"
    ) in captured.out


@pytest.mark.parametrize(
    ("steps", "code", "number"),
    [(10, "too-many-steps", 1), (1, "too-few-steps", 4), (4, None, 4)],
)
def test_another_number_of_steps_than_the_objective_trains_for_is_a_cause(
    steps: int, code: str | None, number: int, tmp_path: Path
) -> None:
    changed(tmp_path / "student", config(num_steps=steps))
    policy = {"type": "smolvla_reflow", "objective": "grid", "num_steps": number}
    (tmp_path / "student/train_config.json").write_text(json.dumps({"policy": policy}))
    found = {
        str(cause.code): cause
        for cause in api.diagnose(str(NORMAL), str(tmp_path / "student")).causes
    }
    assert set(found) & {"too-many-steps", "too-few-steps"} == ({code} if code else set())
    if code:
        assert found[code].what == (
            f"num_steps is {steps}, but the student was trained for sampling in {number}"
        )
        assert found[code].repair.argv[-3:] == ("set", "num_steps", str(number))


@pytest.mark.parametrize("policy", [{"objective": "reflow", "num_steps": 1}, {"num_steps": 1}, []])
def test_a_student_for_any_number_of_steps_may_take_any(policy: object, tmp_path: Path) -> None:
    changed(tmp_path / "student", config(num_steps=10))
    (tmp_path / "student/train_config.json").write_text(json.dumps({"policy": policy}))
    assert not causes(tmp_path / "student") & {"too-many-steps", "too-few-steps"}
