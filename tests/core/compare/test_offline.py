"""Comparing on a dataset: the distances are those of stock policies, and latency is measured."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jsonschema
import numpy as np
import pytest
import torch
from lerobot.datasets.lerobot_dataset import LeRobotDataset
from lerobot.policies.factory import make_pre_post_processors
from lerobot.policies.smolvla.modeling_smolvla import SmolVLAPolicy
from lerobot_reflow.compare import latency, offline
from lerobot_reflow.compare.command import main
from lerobot_reflow.compare.document import SCHEMA
from safetensors.torch import load_file, save_file

from tests.core.support import ACTION_DIMS, CAMERA, CHUNK

pytestmark = pytest.mark.lerobot

ROWS, SEED, MAX_ACTION_DIM, STD = 5, 1000, 8, 3.0


@pytest.fixture(scope="module")
def student(teacher_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A student that acts otherwise."""
    folder = tmp_path_factory.mktemp("student") / "pretrained_model"
    shutil.copytree(teacher_folder, folder)
    tensors = load_file(folder / "model.safetensors")
    tensors["model.action_out_proj.weight"] /= 4
    save_file(tensors, folder / "model.safetensors", {"format": "pt"})
    return folder


Compare = Callable[..., int]


@pytest.fixture(scope="module")
def compare(teacher_folder: Path, student: Path, dataset_root: Path) -> Compare:
    """Run the command with a folder of results, and more arguments; returns its exit status."""

    def run(out: Path, *more: str, student: Path = student, dataset: Path = dataset_root) -> int:
        return main([
            f"--teacher={teacher_folder}", f"--policy=student={student}",
            f"--dataset.root={dataset}", f"--out={out}", f"--observations={ROWS}",
            "--steps=1,2", "--reference-steps=4", "--student-steps=1", "--n-action-steps=7",
            "--batch-size=2", "--device=cpu", "--latency-rounds=2", "--compile=none", *more,
        ])  # fmt: skip

    return run


@pytest.fixture(scope="module")
def compared(compare: Compare, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a finished comparison."""
    out = tmp_path_factory.mktemp("compared") / "out"
    assert compare(out) == 0
    return out


@pytest.fixture(scope="module")
def document(compared: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((compared / "comparison.json").read_text())
    return found


def stock_actions(folder: Path, dataset: Path, steps: int) -> torch.Tensor:
    """Chunks of a policy that stock LeRobot loads and runs, for the noise of the comparison."""
    policy = SmolVLAPolicy.from_pretrained(folder, strict=True)
    policy.config.num_steps = steps
    preprocess, postprocess = make_pre_post_processors(policy.config, pretrained_path=str(folder))
    frames = LeRobotDataset("local/tiny", root=dataset)
    indices = torch.linspace(0, len(frames) - 1, ROWS).long().tolist()
    shape = (ROWS, CHUNK, MAX_ACTION_DIM)
    noise = torch.randn(shape, generator=torch.Generator().manual_seed(SEED))
    chunks = []
    for place, index in enumerate(indices):
        item = frames[index]
        batch = {name: item[name][None] for name in (CAMERA, "observation.state")}
        batch = preprocess({**batch, "task": [item["task"]]})
        with torch.no_grad():
            chunk = policy.predict_action_chunk(batch, noise=noise[place : place + 1].clone())
        chunks.append(postprocess(chunk))
    return torch.cat(chunks)


def test_distances_are_those_of_stock_policies(
    teacher_folder: Path, student: Path, dataset_root: Path, document: dict[str, Any]
) -> None:
    reference = stock_actions(teacher_folder, dataset_root, 4)
    assert reference.shape == (ROWS, CHUNK, ACTION_DIMS)
    rows = {(row["policy"], row["steps"]): row for row in document["rows"]}
    assert list(rows) == [("teacher", 4), ("teacher", 2), ("teacher", 1), ("student", 1)]
    for (policy, steps), row in rows.items():
        folder = teacher_folder if policy == "teacher" else student
        difference = (stock_actions(folder, dataset_root, steps) - reference)[:, :7] / STD
        expected = difference.square().mean(dim=(1, 2)).sqrt()
        # Rows of a batch are computed together there, in BF16, and one by one here.
        assert row["error"]["mean"] == pytest.approx(float(expected.mean()), rel=0.03, abs=1e-2)
        assert row["error"]["worst"] == pytest.approx(float(expected.max()), rel=0.03, abs=1e-2)
    assert rows["teacher", 4]["error"]["worst"] == 0
    assert rows["teacher", 1]["error"]["mean"] > rows["teacher", 2]["error"]["mean"] > 0


def test_errors_are_related_to_the_teachers_fewest_steps(document: dict[str, Any]) -> None:
    _, two, one, student = document["rows"]
    assert one["error"]["share"] == {"value": 1, "interval": [1, 1]}
    assert one["error"]["difference"] == {"value": 0, "interval": [0, 0]}
    share = student["error"]["share"]
    assert share["value"] == pytest.approx(student["error"]["mean"] / one["error"]["mean"])
    assert share["interval"][0] < share["value"] < share["interval"][1]
    assert two["error"]["difference"]["interval"][1] < 0


def test_latency_has_a_prefix_and_denoising(document: dict[str, Any]) -> None:
    for row in document["rows"]:
        times = row["latency"]
        low, high = times["prefix_ms"]["quartiles"]
        assert 0 < low <= times["prefix_ms"]["median"] <= high
        assert times["denoise_ms"]["median"] < times["total_ms"]["median"]
    settings = document["latency"]
    assert settings["rounds"] == 2
    assert settings["threads"] == torch.get_num_threads()
    assert settings["compiled"] is None
    assert settings["not_compiled"] == "turned off with --compile none"


def test_the_document_follows_its_schema(compared: Path, document: dict[str, Any]) -> None:
    schema = json.loads(Path(latency.__file__).with_name(Path(SCHEMA).name).read_text())
    jsonschema.validate(document, schema)
    assert document["$schema"] == schema["$id"]
    assert {path.name for path in compared.glob("comparison.*")} == {
        f"comparison.{suffix}" for suffix in ("json", "md", "png", "svg")
    }


def test_finished_measurements_are_not_repeated(
    compare: Compare, compared: Path, document: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        pytest.fail("a policy was loaded")

    monkeypatch.setattr(offline, "load", refuse)
    assert compare(compared) == 0
    assert json.loads((compared / "comparison.json").read_text()) == document


@pytest.fixture
def out(compared: Path, tmp_path: Path) -> Path:
    """A copy of a finished comparison, to change."""
    return Path(shutil.copytree(compared, tmp_path / "out"))


def test_a_teacher_that_does_not_compile_is_no_error(
    compare: Compare, out: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise RuntimeError("no compiler")

    monkeypatch.setattr(torch, "compile", refuse)
    assert compare(out, "--compile=default") == 0
    shown = " ".join(capsys.readouterr().out.split())
    assert (
        "No compiled teacher: torch.compile does not run here (RuntimeError: no compiler)." in shown
    )


def test_the_compiled_teacher_has_a_line(
    compare: Compare, out: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A compiler that changes nothing."""
    seen: list[str] = []

    def keep(function: Any, *, mode: str) -> Any:
        seen.append(mode)
        return function

    monkeypatch.setattr(torch, "compile", keep)
    assert compare(out, "--compile=reduce-overhead") == 0
    assert seen == ["reduce-overhead"]
    lines = capsys.readouterr().out.splitlines()
    assert lines[-1].startswith("teacher, compiled      4")
    compiled = json.loads((out / "comparison.json").read_text())["latency"]["compiled"]
    assert compiled["mode"] == "reduce-overhead"
    assert compiled["steps"] == 4


@pytest.mark.skipif(
    "CKPT_COMPILE" not in os.environ, reason="compiling takes minutes: set CKPT_COMPILE=1"
)
def test_the_real_compiler_computes_the_same_actions(
    compare: Compare, out: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, calls = torch.compile, []

    def checked(function: Any, *, mode: str) -> Any:
        compiled = real(function, mode=mode)

        def call(*arguments: Any, **named: Any) -> Any:
            found = compiled(*arguments, **named)
            torch.testing.assert_close(found, function(*arguments, **named), rtol=0.05, atol=0.05)
            calls.append(found)
            return found

        return call

    monkeypatch.setattr(torch, "compile", checked)
    assert compare(out, "--compile=default") == 0
    found = json.loads((out / "comparison.json").read_text())["latency"]
    assert found["not_compiled"] is None
    assert found["compiled"]["first_call_s"] > 1
    assert len(calls) == latency.WARM_UP + 2


def test_a_student_that_does_not_load_does_not_stop_the_others(
    compare: Compare, out: Path, teacher_folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    broken = Path(shutil.copytree(teacher_folder, out / "broken"))
    (broken / "model.safetensors").write_bytes(b"")
    assert compare(out, student=broken) == 2
    assert f"error: student, 1 step: {broken} does not load" in capsys.readouterr().err
    rows = json.loads((out / "comparison.json").read_text())["rows"]
    assert [bool(row["error"]) for row in rows] == [True, True, True, False]
    assert "does not load" in rows[3]["problem"]


def test_a_dataset_that_cannot_be_read_is_one_sentence(
    compare: Compare, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert compare(tmp_path / "out", dataset=tmp_path / "nowhere") == 2
    assert "nowhere cannot be read (" in capsys.readouterr().err.splitlines()[-1]


def test_a_dataset_of_another_robot_is_one_sentence(
    compare: Compare, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    features = {"action": {"dtype": "float32", "shape": (2,), "names": ["x", "y"]}}
    made = LeRobotDataset.create("local/x", fps=10, features=features, root=tmp_path / "other")
    made.add_frame({"action": np.zeros(2, np.float32), "task": "t"})
    made.save_episode()
    made.finalize()
    assert compare(tmp_path / "out", dataset=tmp_path / "other") == 2
    found = capsys.readouterr().err.splitlines()[-1]
    assert "needs observation.images.top, which the dataset does not have" in found
