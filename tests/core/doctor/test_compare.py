"""`ckpt doctor` on running policies: shared inputs, real differences, and their causes.

No test depends on the clock: slow parts are delayed by far more than everything else takes.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import gymnasium
import jsonschema
import pytest
import torch
from lerobot_policy_smolvla_reflow.doctor import compare, inputs, loaded_policy, probe
from safetensors.torch import load_file, save_file

from ckpt_tools import api
from ckpt_tools.api._doctor_live import ProbeOptions
from ckpt_tools.doctor.measured_causes import with_measurements
from ckpt_tools.doctor.measurement import Measurement
from ckpt_tools.doctor.model import Cause, Observed, Problem
from ckpt_tools.doctor.probe import measurement, problems
from ckpt_tools.doctor.repairs import Repairs
from ckpt_tools.doctor.statistics import distance, summarize
from ckpt_tools.storage import schemas
from tests.core.doctor.test_probe import config, weights
from tests.core.support import ACTION_DIMS, CAMERA, CHUNK, ROOT, STATE_DIMS, python_path

SCALE = (3.0,) * ACTION_DIMS
STATES = (
    "policy_preprocessor_step_5_normalizer_processor.safetensors",
    "policy_postprocessor_step_0_unnormalizer_processor.safetensors",
)


def late(seconds: float, call: Callable[..., Any]) -> Callable[..., Any]:
    """`call` after a delay."""

    def waiting(*args: Any, **kwargs: Any) -> Any:
        time.sleep(seconds)
        return call(*args, **kwargs)

    return waiting


def request(normal: Path, reflow: Path, **changes: Any) -> dict[str, Any]:
    made = {
        "protocol": 1,
        "normal": str(normal),
        "reflow": str(reflow),
        "observations": 3,
        "seed": 0,
        "repeats": 1,
    }
    return made | changes


@pytest.fixture(autouse=True)
def without_warm_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """Times are not compared unless a delay is added."""
    monkeypatch.setattr(compare, "WARM_UP", 0)


@pytest.fixture
def here(monkeypatch: pytest.MonkeyPatch) -> None:
    """Run the probe in this process: importing LeRobot in another takes most of the time.

    The test of the command runs the real one.
    """

    def run(
        _family: str,
        options: dict[str, Any],
        progress: Callable[[int, int], None],
        _bases: object,
    ) -> Measurement | tuple[Problem, ...]:
        answer = json.loads(
            json.dumps(compare.diagnose({"protocol": 1, **options}, progress), allow_nan=False)
        )
        return problems(answer) or measurement(
            answer, synthetic=not (options["batch"] or options["dataset"])
        )

    monkeypatch.setattr("ckpt_tools.api._doctor_live._lacking", lambda *_: "")  # what the Hub has
    monkeypatch.setattr("ckpt_tools.api._doctor_live.run_probe", run)


def measured(normal: Path, reflow: Path, **changes: Any) -> Measurement:
    """The probe's answer, in this process, converted to JSON and back."""
    answer = compare.diagnose(request(normal, reflow, **changes), lambda _done, _total: None)
    assert answer["refused"] == ""
    assert answer["problems"] == {}
    recorded = changes.keys() & {"batch", "dataset"}
    return measurement(json.loads(json.dumps(answer, allow_nan=False)), synthetic=not recorded)


def causes_of(found: Measurement) -> dict[str, Cause]:
    checkpoint = api.read("fixtures/normal")
    causes = with_measurements(
        Observed(summarize(found, SCALE, SCALE), (), (), Repairs("n", "r", checkpoint, checkpoint))
    )
    return {str(cause.code): cause for cause in causes}


def changed(teacher: Path, folder: Path, change: Callable[[Path], object]) -> Path:
    shutil.copytree(teacher, folder)
    change(folder)
    return folder


def other_statistics(folder: Path) -> None:
    for name in STATES:
        save_file(
            {key: value * 2 + 1 for key, value in load_file(folder / name).items()}, folder / name
        )


def batch_file(path: Path, *, metadata: dict[str, str] | None = None, **changes: Any) -> Path:
    """Two observations and their noise, as docs/doctor.md describes them."""
    random = torch.Generator().manual_seed(5)
    tensors = {
        CAMERA: torch.randint(0, 255, (2, 3, 64, 64), generator=random, dtype=torch.uint8),
        "observation.state": torch.randn(2, STATE_DIMS, generator=random),
        "noise": torch.randn(2, CHUNK, 8, generator=random),
    }
    save_file(
        {name: value for name, value in (tensors | changes).items() if value is not None},
        path,
        metadata,
    )
    return path


# --- the same inputs ------------------------------------------------------------------------------


def test_a_policy_compared_with_itself_acts_the_same(teacher_folder: Path) -> None:
    found = measured(teacher_folder, teacher_folder, repeats=6)
    assert found.sweep == (1, 2, 4, 10)
    assert found.normal.actions == found.reflow.actions
    assert found.crossed == found.normal.actions[10]
    for side in (found.normal, found.reflow):
        for steps in found.sweep:
            chunks = side.actions[steps]
            assert (len(chunks), len(chunks[0]), len(chunks[0][0])) == (3, CHUNK, ACTION_DIMS)
            assert len(side.times[steps]) == 6
            assert all(value > 0 for times in side.times[steps] for value in times)
    assert found.what == "3 synthetic observations, drawn from NORMAL's statistics with seed 0"
    assert distance(found.normal.actions[1], found.normal.actions[10], SCALE) > 0.1, (
        "the teacher's paths must bend, or the test shows nothing"
    )
    assert causes_of(found) == {}


def test_the_seed_determines_observations_and_noise(teacher_folder: Path) -> None:
    one, other = (measured(teacher_folder, teacher_folder, seed=seed) for seed in (0, 1))
    assert one.normal.actions != other.normal.actions


def test_different_noise_would_change_the_actions(
    teacher_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        loaded_policy.LoadedPolicy,
        "_noise",
        lambda _self, noise: torch.randn_like(noise[:, :CHUNK, :8]),
    )
    found = measured(teacher_folder, teacher_folder)
    assert distance(found.normal.actions[10], found.reflow.actions[10], SCALE) > 0.1


def test_a_processor_that_changes_its_input_does_not_affect_the_other_policy(
    teacher_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    load = loaded_policy.load

    def load_with_changing_processor(folder: str, device: str) -> loaded_policy.LoadedPolicy:
        loaded = load(folder, device)
        inner = loaded.preprocess

        class ChangingProcessor:
            steps = inner.steps

            def __call__(self, frames: dict[str, Any]) -> Any:
                frames["observation.state"].add_(1)
                return inner(frames)

        return loaded_policy.LoadedPolicy(
            loaded.policy, ChangingProcessor(), loaded.postprocess, device
        )

    monkeypatch.setattr(compare, "load", load_with_changing_processor)
    assert (
        measured(teacher_folder, teacher_folder).normal.actions
        == measured(teacher_folder, teacher_folder).reflow.actions
    )
    monkeypatch.setattr(loaded_policy, "_copy", dict)
    assert not compare.diagnose(request(teacher_folder, teacher_folder), lambda *_: None)["inputs"][
        "unchanged"
    ]


def test_a_shorter_chunk_gets_the_first_part_of_the_same_noise(
    teacher_folder: Path, tmp_path: Path
) -> None:
    short = changed(teacher_folder, tmp_path / "short", config(chunk_size=4, n_action_steps=4))
    found = measured(teacher_folder, short)
    assert len(found.reflow.actions[1][0]) == 4
    assert found.reflow.n_action_steps == 4


def test_timing_restores_the_number_of_steps(teacher_folder: Path) -> None:
    loaded = loaded_policy.load(str(teacher_folder))
    frames = {
        CAMERA: torch.rand(1, 3, 64, 64),
        "observation.state": torch.zeros(1, STATE_DIMS),
        "task": ["go"],
    }
    loaded.time_chunk(frames, torch.zeros(1, CHUNK, 8), 3)
    assert loaded.policy.config.num_steps == 10
    assert "denoise_step" not in vars(loaded.policy.model)


# --- where observations come from -----------------------------------------------------------------


def test_a_batch_provides_its_noise_and_task(teacher_folder: Path, tmp_path: Path) -> None:
    path = batch_file(tmp_path / "batch.safetensors", metadata={"task": "reach the cube"})
    found = measured(teacher_folder, teacher_folder, batch=str(path))
    assert (found.rows, found.synthetic, found.what) == (2, False, f"2 observations of {path}")
    other_noise = measured(
        teacher_folder,
        teacher_folder,
        batch=str(batch_file(tmp_path / "b.safetensors", noise=torch.zeros(2, CHUNK, 8))),
    )
    other_task = measured(
        teacher_folder, teacher_folder, batch=str(batch_file(tmp_path / "c.safetensors"))
    )
    assert found.normal.actions != other_noise.normal.actions
    assert found.normal.actions != other_task.normal.actions


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        (
            {"observation.state": None},
            "has no observation.state, only noise, observation.images.top",
        ),
        ({"observation.state": torch.zeros(3, STATE_DIMS)}, "have 2 and 3 rows"),
        ({CAMERA: torch.zeros(2, 64, 64, 3)}, "color channels first"),
        ({CAMERA: torch.zeros(64, 64)}, "has the shape [64, 64]; expected"),
    ],
)
def test_a_batch_that_does_not_fit_is_refused(
    changes: dict[str, Any], words: str, teacher_folder: Path, tmp_path: Path
) -> None:
    path = batch_file(tmp_path / "batch.safetensors", **changes)
    assert (
        words
        in compare.diagnose(
            request(teacher_folder, teacher_folder, batch=str(path)), lambda *_: None
        )["refused"]
    )


def test_frames_of_a_dataset_come_with_its_statistics(
    teacher_folder: Path, dataset_root: Path
) -> None:
    found = measured(teacher_folder, teacher_folder, dataset=str(dataset_root))
    assert found.what == f"3 frames of the dataset {dataset_root}"
    assert found.action_statistics is not None
    assert len(found.action_statistics["std"]) == ACTION_DIMS


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"batch": "absent.safetensors"}, "absent.safetensors cannot be read as safetensors"),
        ({"dataset": "docs"}, "the dataset docs cannot be read"),
        (
            {"env": "nowhere"},
            (
                "unknown environment nowhere: ValueError: Environment type 'nowhere' is not "
                "registered."
            ),
        ),
        (
            {"env": "toy_world", "env_package": "nobody"},
            "unknown environment toy_world: ModuleNotFoundError",
        ),
        ({"protocol": 2}, "protocol 2, but this probe supports 1"),
    ],
)
def test_an_invalid_request_is_refused(
    changes: dict[str, Any], words: str, teacher_folder: Path
) -> None:
    assert (
        words
        in compare.diagnose(request(teacher_folder, teacher_folder, **changes), lambda *_: None)[
            "refused"
        ]
    )


# --- what is wrong is found -----------------------------------------------------------------------


def test_a_slow_prefix_is_reported(teacher_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    load, loaded = loaded_policy.load, list[loaded_policy.LoadedPolicy]()

    def slow_second(folder: str, device: str) -> loaded_policy.LoadedPolicy:
        loaded.append(load(folder, device))
        if len(loaded) == 2:
            model = loaded[1].policy.model
            embed = model.embed_prefix
            monkeypatch.setattr(model, "embed_prefix", late(0.5, embed))
        return loaded[-1]

    monkeypatch.setattr(compare, "load", slow_second)
    found = causes_of(measured(teacher_folder, teacher_folder, repeats=6))
    assert set(found) == {"slower"}
    assert "most of it in its prefix" in found["slower"].what


def test_an_environment_that_is_slow_with_both_policies_is_measured_and_no_cause(
    teacher_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from tests.core import toy_world  # noqa: PLC0415 - registers itself when it is imported

    monkeypatch.setattr(toy_world.ToyWorld, "step", late(0.3, toy_world.ToyWorld.step))
    monkeypatch.setattr(
        gymnasium.envs.registration.registry["gym_toy_world/Reach"],
        "entry_point",
        toy_world.ToyWorld,
    )
    found = measured(teacher_folder, teacher_folder, env="toy_world")
    assert found.environment is not None
    assert [len(side) for side in (*found.environment.infer, *found.environment.step)] == [20] * 4
    assert all(seconds > 0.3 for side in found.environment.step for seconds in side)
    assert causes_of(found) == {}


@pytest.mark.usefixtures("here")
def test_changed_statistics_are_reported_as_the_cause(teacher_folder: Path, tmp_path: Path) -> None:
    bad = changed(teacher_folder, tmp_path / "bad", other_statistics)
    found = api.diagnose(str(teacher_folder), str(bad), ProbeOptions(repeats=6))
    assert found.live is not None
    assert found.live.apart > 0.5
    assert found.live.apart_crossed == 0
    [cause] = [cause for cause in found.causes if cause.effect == "wrong"]
    assert cause.code == "other-statistics"
    assert "and 0 with NORMAL's processors around the same weights" in cause.measured


@pytest.mark.usefixtures("here")
@pytest.mark.parametrize(
    ("change", "code", "words"),
    [
        (
            weights(lambda tensors: tensors["model.action_in_proj.bias"].fill_(torch.nan)),
            "weights-not-finite",
            "in model.action_in_proj.bias",
        ),
        (
            lambda folder: save_file(
                {k: v * torch.nan for k, v in load_file(folder / STATES[1]).items()},
                folder / STATES[1],
            ),
            "statistics-broken",
            "100%",
        ),
    ],
)
def test_nan_is_reported(
    change: Any, code: str, words: str, teacher_folder: Path, tmp_path: Path
) -> None:
    found = api.diagnose(
        str(teacher_folder),
        str(changed(teacher_folder, tmp_path / "bad", change)),
        ProbeOptions(repeats=6),
    )
    causes = {str(cause.code): f"{cause.what} {cause.measured}" for cause in found.causes}
    assert words in causes[code]


@pytest.mark.lerobot
def test_the_command_measures_and_plots(teacher_folder: Path, tmp_path: Path) -> None:
    copy = changed(teacher_folder, tmp_path / "copy", lambda _: None)
    plot = tmp_path / "x.png"
    command = [
        "doctor", teacher_folder, copy, "--repeats=6", "--env=toy_world",
        "--env-package=toy_world", f"--plot={plot}", "--format=json",
    ]  # fmt: skip
    environment = os.environ | python_path(ROOT / "tests/core") | {"OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [sys.executable, "-m", "ckpt_tools", *map(str, command)],
        capture_output=True,
        text=True,
        check=False,
        env=environment,
    )
    assert (done.returncode, done.stderr) == (0, "")
    document = json.loads(done.stdout)
    jsonschema.Draft202012Validator(schemas.load("diagnosis")).validate(document)
    assert document["live"]["apart"] == 0
    assert document["live"]["environment"]["steps"] == 20
    assert plot.read_bytes().startswith(b"\x89PNG")


def test_a_checkpoint_from_a_gpu_runs_without_one(teacher_folder: Path, tmp_path: Path) -> None:
    def on_cuda(folder: Path) -> None:
        path = folder / "policy_preprocessor.json"
        document = json.loads(path.read_text())
        next(step for step in document["steps"] if step["registry_name"] == "device_processor")[
            "config"
        ]["device"] = "cuda"
        path.write_text(json.dumps(document))

    assert probe.problems(str(changed(teacher_folder, tmp_path / "gpu", on_cuda))) == []


def test_synthetic_states_are_drawn_from_the_normal_checkpoints_statistics(
    teacher_folder: Path,
) -> None:
    loaded = loaded_policy.load(str(teacher_folder))
    drawn = inputs.make_inputs(
        request(teacher_folder, teacher_folder, observations=400),
        {"normal": loaded, "reflow": loaded},
    ).frames["observation.state"]
    assert torch.allclose(drawn.mean(dim=0), torch.full((STATE_DIMS,), 2.0), atol=0.6)
    assert torch.allclose(drawn.std(dim=0), torch.full((STATE_DIMS,), 3.0), atol=0.5)
