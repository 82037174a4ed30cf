"""LeRobot's other commands and services on a reflow run, as a user runs them: evaluation in an environment, wandb, the Hub."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.core.surroundings import lerobot_train, python, train_arguments

pytestmark = pytest.mark.lerobot

HERE = {"PYTHONPATH": str(Path(__file__).parent)}  # where toy_world is
TOY_WORLD = ["--env.discover_packages_path=toy_world", "--env.type=toy_world"]
EVALUATION = ["--eval.n_episodes=2", "--eval.batch_size=2", "--eval.use_async_envs=false"]


def test_a_run_evaluates_itself_in_an_environment_and_logs_to_wandb(teacher_folder: Path, dataset_root: Path, tmp_path: Path) -> None:
    reflow = ["--policy.type=smolvla", "--policy.use_reflow=True", f"--policy.teacher_model_path={teacher_folder}", "--policy.num_steps=1"]
    services = [*TOY_WORLD, *EVALUATION, "--env_eval_freq=2", "--wandb.enable=true", "--wandb.mode=offline", "--wandb.disable_artifact=true"]
    arguments = [argument for argument in train_arguments(dataset_root, tmp_path / "run", *reflow, *services, steps=2) if argument != "--wandb.enable=false"]
    done = lerobot_train(*arguments, env=HERE)
    assert "Eval policy at step 2" in done.stdout + done.stderr
    logs = list((tmp_path / "run").rglob("run-*.wandb"))
    assert len(logs) == 1
    logged = logs[0].read_bytes()
    assert all(key in logged for key in (b"train/straightness_teacher", b"train/straightness_student", b"eval/pc_success"))
    saved = tmp_path / "run/checkpoints/last/pretrained_model"
    out = tmp_path / "eval"
    lerobot_eval = ["-m", "lerobot.scripts.lerobot_eval", f"--policy.path={saved}", "--policy.device=cpu", f"--output_dir={out}", *TOY_WORLD, *EVALUATION]
    python(*lerobot_eval, env=HERE)
    assert json.loads((out / "eval_info.json").read_text())["overall"]["pc_success"] == 100
