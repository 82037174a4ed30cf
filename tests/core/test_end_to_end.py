"""Stock LeRobot commands as a user runs them, offline, on the CPU, with 40 frames of data."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from lerobot_policy_smolvla_reflow.modeling_smolvla_reflow import SmolVLAReflowPolicy
from safetensors.torch import load_file, save_file

from ckpt_tools import api
from ckpt_tools.rules.finding import Severity
from tests.core.support import (
    WITHOUT_PLUGIN,
    lerobot_train,
    make_batch,
    python,
    train_arguments,
)

pytestmark = pytest.mark.lerobot

NORMALISER = "policy_preprocessor_step_5_normalizer_processor.safetensors"
UNNORMALISER = "policy_postprocessor_step_0_unnormalizer_processor.safetensors"
MODEL = "pretrained_model/model.safetensors"
OPTIMIZER = "training_state/optimizer_state.safetensors"
STUDENT_STATE = "training_state/reflow_student.safetensors"


def smolvla_arguments(vlm: Path) -> list[str]:
    return [
        "--policy.type=smolvla", f"--policy.vlm_model_name={vlm}", "--policy.load_vlm_weights=true",
        "--policy.num_vlm_layers=4",
        "--policy.resize_imgs_with_padding=[64,64]", "--policy.chunk_size=10",
        "--policy.n_action_steps=10",
    ]  # fmt: skip


@pytest.fixture(scope="module")
def trained_teacher(
    tiny_vlm: Path,
    dataset_root: Path,
    tmp_path_factory: pytest.TempPathFactory,
) -> Path:
    """A run of standard SmolVLA training in an environment without the plugin."""
    out = tmp_path_factory.mktemp("runs") / "teacher"
    arguments = train_arguments(dataset_root, out, *smolvla_arguments(tiny_vlm))
    python(WITHOUT_PLUGIN, "-m", "lerobot.scripts.lerobot_train", *arguments)
    return out / "checkpoints/000004"


@pytest.fixture(scope="module")
def reflow_run(
    teacher_folder: Path, dataset_root: Path, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, str]:
    """(run folder, log) of a run with `--policy.type=smolvla --policy.use_reflow=True`."""
    out = tmp_path_factory.mktemp("runs") / "student"
    done = lerobot_train(
        *train_arguments(
            dataset_root,
            out,
            "--policy.type=smolvla",
            "--policy.use_reflow=True",
            f"--policy.teacher_model_path={teacher_folder}",
        )
    )
    return out, done.stdout + done.stderr


def test_standard_training_is_bit_identical_with_the_plugin_installed(
    trained_teacher: Path, tiny_vlm: Path, dataset_root: Path, tmp_path: Path
) -> None:
    lerobot_train(
        *train_arguments(
            dataset_root,
            tmp_path / "run",
            *smolvla_arguments(tiny_vlm),
            "--policy.use_reflow=False",
        )
    )
    saved = tmp_path / "run/checkpoints/000004"
    for name in (
        MODEL,
        OPTIMIZER,
        "pretrained_model/config.json",
        f"pretrained_model/{NORMALISER}",
    ):
        assert (saved / name).read_bytes() == (trained_teacher / name).read_bytes(), name


def test_the_log_says_what_happened_and_no_vlm_is_loaded_twice(
    reflow_run: tuple[Path, str], teacher_folder: Path
) -> None:
    _, log = reflow_run
    assert len(re.findall(r"Loading .*weights", log)) <= 1
    lines = [line.partition("[Reflow] ")[2] for line in log.splitlines() if "[Reflow]" in line]
    total = int(re.sub(",", "", lines[3].removeprefix("Total parameters: ")))
    trainable = int(
        re.sub(",", "", lines[4].removeprefix("Trainable parameters: ").partition(" ")[0])
    )
    assert lines == [
        f"Loading teacher model from {teacher_folder}",
        "Creating student model (copying weights from teacher)",
        "✓ Student initialized from teacher",
        f"Total parameters: {total:,}",
        f"Trainable parameters: {trainable:,} ({100 * trainable / total:.2f}%)",
        "Objective reflow: 10 teacher passes and 1 student pass per step",
        "Student and teacher share one image and language prefix",
    ]
    assert f"num_learnable_params={trainable} " in log
    assert f"num_total_params={total} " in log
    assert "straightness_teacher:" in log
    assert "straightness_student:" in log


def test_the_checkpoint_is_a_normal_one_and_keeps_the_teachers_statistics(
    reflow_run: tuple[Path, str], teacher_folder: Path
) -> None:
    saved = reflow_run[0] / "checkpoints/last/pretrained_model"
    config = json.loads((saved / "config.json").read_text())
    assert config == json.loads((teacher_folder / "config.json").read_text())
    assert {
        name: (tensor.dtype, tensor.shape)
        for name, tensor in load_file(saved / "model.safetensors").items()
    } == {
        name: (tensor.dtype, tensor.shape)
        for name, tensor in load_file(teacher_folder / "model.safetensors").items()
    }
    for name in (NORMALISER, UNNORMALISER, "policy_preprocessor.json", "policy_postprocessor.json"):
        assert (saved / name).read_bytes() == (teacher_folder / name).read_bytes(), name
    training = json.loads((saved / "train_config.json").read_text())["policy"]
    assert (training["type"], training["use_reflow"], training["teacher_model_path"]) == (
        "smolvla_reflow",
        True,
        str(teacher_folder),
    )


LOAD_AND_ACT = """
import sys, torch
from lerobot.configs import PreTrainedConfig
from lerobot.policies.smolvla.modeling_smolvla import SmolVLAPolicy
from lerobot.utils.import_utils import register_third_party_plugins
from safetensors.torch import load_file, save_file
register_third_party_plugins()
assert "smolvla_reflow" not in PreTrainedConfig.get_known_choices(), "the plugin is there"
torch.set_num_threads(1)
policy = SmolVLAPolicy.from_pretrained(sys.argv[1], strict=True)
batch = load_file(sys.argv[2])
noise = batch.pop("noise")
save_file({"actions": policy.predict_action_chunk(batch, noise).contiguous()}, sys.argv[3])
"""


def test_an_environment_without_the_plugin_loads_it_strictly_and_acts_like_the_student_in_memory(
    make_student: Callable[..., SmolVLAReflowPolicy], tmp_path: Path
) -> None:
    student = make_student()
    optimizer = student.config.get_optimizer_preset().build(student.get_optim_params())
    assert isinstance(optimizer, torch.optim.Optimizer)
    for _ in range(3):
        student.forward(make_batch())[0].backward()
        optimizer.step()
    student.save_pretrained(tmp_path / "saved")
    batch = {**make_batch(), "noise": torch.randn(3, 10, 8)}
    save_file(batch, tmp_path / "batch.safetensors")
    python(
        WITHOUT_PLUGIN,
        "-c",
        LOAD_AND_ACT,
        tmp_path / "saved",
        tmp_path / "batch.safetensors",
        tmp_path / "actions.safetensors",
    )
    noise = batch.pop("noise")
    assert torch.equal(
        load_file(tmp_path / "actions.safetensors")["actions"],
        student.predict_action_chunk(batch, noise),
    )


def resumed(run: Path, out: Path) -> Path:
    """Stop `run` after 2 of 4 steps and resume it. Returns the last checkpoint."""
    shutil.copytree(run / "checkpoints/000002", out / "checkpoints/000002")
    config = out / "checkpoints/000002/pretrained_model/train_config.json"
    lerobot_train(f"--config_path={config}", "--resume=true", f"--output_dir={out}")
    return out / "checkpoints/000004"


def test_a_resumed_run_gives_the_weights_of_an_uninterrupted_one(
    reflow_run: tuple[Path, str], tmp_path: Path
) -> None:
    again, straight = resumed(reflow_run[0], tmp_path / "run"), reflow_run[0] / "checkpoints/000004"
    for name in (MODEL, OPTIMIZER, f"pretrained_model/{NORMALISER}"):
        assert (again / name).read_bytes() == (straight / name).read_bytes(), name
    configs = [
        json.loads((folder / "pretrained_model/config.json").read_text())
        for folder in (again, straight)
    ]
    assert configs[0] == configs[1]
    assert (straight / MODEL).read_bytes() != (
        reflow_run[0] / "checkpoints/000002" / MODEL
    ).read_bytes()


def test_a_run_of_accelerate_launch_with_average_real_data_and_shared_vlm_resumes_exactly(
    teacher_folder: Path, dataset_root: Path, tmp_path: Path
) -> None:
    options = [
        "--policy.ema_decay=0.9",
        "--policy.mix_real_data=0.5",
        "--policy.share_vlm=true",
        "--policy.loss=pseudo_huber",
        "--policy.num_steps=1",
    ]
    launch = [
        "-m",
        "accelerate.commands.launch",
        "--cpu",
        "--num_processes=1",
        "-m",
        "lerobot.scripts.lerobot_train",
    ]
    arguments = train_arguments(
        dataset_root,
        tmp_path / "straight",
        "--policy.type=smolvla_reflow",
        f"--policy.teacher_model_path={teacher_folder}",
    )
    python(*launch, *arguments, *options)
    straight = tmp_path / "straight/checkpoints/000004"
    again = resumed(tmp_path / "straight", tmp_path / "again")
    for name in (MODEL, OPTIMIZER, STUDENT_STATE):
        assert (again / name).read_bytes() == (straight / name).read_bytes(), name
    assert json.loads((straight / "pretrained_model/config.json").read_text())["num_steps"] == 1


def test_stock_training_of_a_teacher_can_keep_f32_masters(
    tiny_vlm: Path, dataset_root: Path, tmp_path: Path, trained_teacher: Path
) -> None:
    masters = [
        "--use_policy_training_preset=false", "--optimizer.type=adamw_f32_masters",
        "--optimizer.lr=1e-4", "--optimizer.betas=[0.9,0.95]", "--optimizer.eps=1e-8",
        "--optimizer.weight_decay=1e-10", "--optimizer.grad_clip_norm=10",
        "--scheduler.type=cosine_decay_with_warmup", "--scheduler.num_warmup_steps=1000",
        "--scheduler.num_decay_steps=30000", "--scheduler.peak_lr=1e-4",
        "--scheduler.decay_lr=2.5e-6",
    ]  # fmt: skip
    arguments = train_arguments(dataset_root, tmp_path / "run", *smolvla_arguments(tiny_vlm))
    lerobot_train(*arguments, *masters)
    saved, stock = tmp_path / "run/checkpoints/000004", trained_teacher
    kept = load_file(saved / OPTIMIZER)
    assert any(name.endswith("/master") for name in kept)
    assert all(tensor.dtype == torch.float32 for tensor in kept.values())
    weights, expected = (load_file(folder / MODEL) for folder in (saved, stock))
    assert {name: (tensor.dtype, tensor.shape) for name, tensor in weights.items()} == {
        name: (tensor.dtype, tensor.shape) for name, tensor in expected.items()
    }
    config = "pretrained_model/config.json"
    assert (saved / config).read_bytes() == (stock / config).read_bytes()


REFUSED = {
    "no teacher": (
        ["--policy.type=smolvla", "--policy.use_reflow=True"],
        "teacher_model_path`: reflow needs a teacher; pass --policy.teacher_model_path=",
    ),
    "peft": (
        [
            "--policy.type=smolvla_reflow",
            "--policy.teacher_model_path={teacher}",
            "--peft.method_type=LORA",
        ],
        "use_peft`: reflow trains the whole action expert",
    ),
    "another action": (
        ["--policy.type=smolvla_reflow", "--policy.teacher_model_path={other}"],
        "the teacher's actions have 3 dimensions, but the dataset's have 6",
    ),
}


def test_verify_reports_only_what_is_true_of_the_tiny_vlm(reflow_run: tuple[Path, str]) -> None:
    found = api.verify(
        str(reflow_run[0] / "checkpoints/last/pretrained_model"), values=True
    ).findings
    # And that its VLM was never loaded, which is true of one made from its config alone.
    assert {finding.code for finding in found if finding.severity is not Severity.NOTE} == {
        "CK405",
        "CK710",
    }


@pytest.mark.parametrize("case", REFUSED)
def test_invalid_settings_are_refused_before_any_training_step(
    case: str, teacher_folder: Path, dataset_root: Path, tmp_path: Path
) -> None:
    other = tmp_path / "other"
    shutil.copytree(teacher_folder, other)
    config = json.loads((other / "config.json").read_text())
    config["output_features"]["action"]["shape"] = [3]
    (other / "config.json").write_text(json.dumps(config))
    arguments, sentence = REFUSED[case]
    filled = [argument.format(teacher=teacher_folder, other=other) for argument in arguments]
    done = lerobot_train(*train_arguments(dataset_root, tmp_path / "run", *filled), check=False)
    assert done.returncode == 1
    assert sentence in done.stderr.strip().splitlines()[-1]
    assert "lerobot_train.py" not in done.stderr  # no traceback
    assert "Start offline training" not in done.stdout + done.stderr
    assert not (tmp_path / "run").exists()


def test_the_help_lists_the_fields(teacher_folder: Path) -> None:
    done = lerobot_train("--policy.type=smolvla_reflow", "--help")
    for field in (
        "--policy.teacher_model_path",
        "--policy.time_sampling",
        "--policy.share_vlm",
        "--policy.pairs_path",
    ):
        assert field in done.stdout
