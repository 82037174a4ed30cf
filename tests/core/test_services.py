"""A reflow run with LeRobot's services: evaluation in an environment, wandb, the Hub."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.core.support import (
    WITH_TOY_WORLD,
    lerobot_train,
    python,
    python_path,
    train_arguments,
)
from tests.support.hub.server import HubServer

pytestmark = pytest.mark.lerobot

TOY_WORLD = ["--env.discover_packages_path=toy_world", "--env.type=toy_world"]
EVALUATION = ["--eval.n_episodes=2", "--eval.batch_size=2", "--eval.use_async_envs=false"]


def test_a_run_evaluates_itself_in_an_environment_and_logs_to_wandb(
    teacher_folder: Path, dataset_root: Path, tmp_path: Path
) -> None:
    reflow = [
        "--policy.type=smolvla",
        "--policy.use_reflow=True",
        f"--policy.teacher_model_path={teacher_folder}",
        "--policy.num_steps=1",
    ]
    services = [
        *TOY_WORLD,
        *EVALUATION,
        "--env_eval_freq=2",
        "--wandb.enable=true",
        "--wandb.mode=offline",
        "--wandb.disable_artifact=true",
    ]
    arguments = [
        argument
        for argument in train_arguments(dataset_root, tmp_path / "run", *reflow, *services, steps=2)
        if argument != "--wandb.enable=false"
    ]
    done = python(WITH_TOY_WORLD, "lerobot.scripts.lerobot_train", *arguments)
    assert "Eval policy at step 2" in done.stdout + done.stderr
    logs = list((tmp_path / "run").rglob("run-*.wandb"))
    assert len(logs) == 1
    logged = logs[0].read_bytes()
    assert all(
        key in logged
        for key in (
            b"train/straightness_teacher",
            b"train/straightness_student",
            b"eval/pc_success",
        )
    )
    saved = tmp_path / "run/checkpoints/last/pretrained_model"
    out = tmp_path / "eval"
    lerobot_eval = [
        "lerobot.scripts.lerobot_eval",
        f"--policy.path={saved}",
        "--policy.device=cpu",
        f"--output_dir={out}",
        *TOY_WORLD,
        *EVALUATION,
    ]
    python(WITH_TOY_WORLD, *lerobot_eval)
    assert json.loads((out / "eval_info.json").read_text())["overall"]["pc_success"] == 100


NO_CARD_VALIDATION = """
from huggingface_hub import RepoCard
RepoCard.validate = lambda *_, **__: None  # posts to huggingface.co whatever the endpoint
"""


def test_a_teacher_comes_from_the_hub_at_its_revision_and_the_student_goes_there(
    teacher_folder: Path, dataset_root: Path, tmp_path: Path
) -> None:
    (tmp_path / "sitecustomize.py").write_text(NO_CARD_VALIDATION)
    with HubServer() as hub:
        first = hub.add_repo(
            "robots/teacher", {file.name: file.read_bytes() for file in teacher_folder.iterdir()}
        )
        hub.push("robots/teacher", {"config.json": b'{"type": "act"}'})
        reflow = [
            "--policy.type=smolvla",
            "--policy.use_reflow=True",
            "--policy.teacher_model_path=robots/teacher",
            f"--policy.teacher_revision={first}",
        ]
        publish = ["--policy.push_to_hub=true", "--policy.repo_id=robots/student"]
        arguments = [*train_arguments(dataset_root, tmp_path / "run", *reflow, steps=2), *publish]
        lerobot_train(
            *(argument for argument in arguments if argument != "--policy.push_to_hub=false"),
            env={**hub.environment(tmp_path / "home"), **python_path(tmp_path)},
        )
        pushed = hub.files("robots/student")
    saved = tmp_path / "run/checkpoints/last/pretrained_model"
    local = {file.name: file.read_bytes() for file in saved.iterdir()}
    assert {name for name in pushed if name not in local} == {".gitattributes", "README.md"}
    assert all(
        pushed[name] == local[name]
        for name in ("model.safetensors", "policy_preprocessor.json", "policy_postprocessor.json")
    )
    config = json.loads(pushed["config.json"])
    assert config == {
        **json.loads((teacher_folder / "config.json").read_text()),
        "push_to_hub": True,
        "repo_id": "robots/student",
    }
    assert b"smolvla_reflow" not in pushed["README.md"]
