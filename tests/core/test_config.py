"""The student's config: what it adopts from its teacher, and a message for each invalid field."""

from __future__ import annotations

import dataclasses
import json
import pickle
import shutil
import sys
from pathlib import Path
from typing import Any

import pytest
from lerobot.policies.smolvla.configuration_smolvla import SmolVLAConfig
from lerobot_policy_smolvla_reflow.configuration_smolvla_reflow import ADOPTED, DEFAULTED
from lerobot_policy_smolvla_reflow.optimizer import MasterAdamWConfig

from ckpt_tools.families.smolvla.facts import SMOLVLA
from lerobot_policy_smolvla_reflow import ReflowError, SmolVLAReflowConfig
from tests.core.support import CHUNK, smolvla_config


def student(teacher: Path, **fields: Any) -> SmolVLAReflowConfig:
    return SmolVLAReflowConfig(teacher_model_path=str(teacher), device="cpu", **fields)


def changed_teacher(teacher: Path, out: Path, change: dict[str, Any]) -> Path:
    shutil.copytree(teacher, out)
    config = json.loads((out / "config.json").read_text()) | change
    (out / "config.json").write_text(json.dumps(config))
    return out


def test_the_architecture_is_the_teachers(teacher_folder: Path, tiny_vlm: Path) -> None:
    teacher, adopted = smolvla_config(tiny_vlm), student(teacher_folder)
    for name in (*ADOPTED, *DEFAULTED):
        assert getattr(adopted, name) == getattr(teacher, name), name


def test_every_smolvla_field_is_either_adopted_or_the_students_own() -> None:
    # A field that a newer LeRobot adds must be put in one of the lists on purpose.
    own = {
        "output_features", "device", "use_amp", "use_peft", "push_to_hub", "repo_id", "private",
        "tags", "license", "pretrained_path",
        "pretrained_revision", "use_cache", "freeze_vision_encoder", "train_expert_only",
        "train_state_proj", "optimizer_lr", "optimizer_betas",
        "optimizer_eps", "optimizer_weight_decay", "optimizer_grad_clip_norm",
        "scheduler_warmup_steps", "scheduler_decay_steps",
        "scheduler_decay_lr", "load_vlm_weights", "rtc_config", "compile_model", "compile_mode",
    }  # fmt: skip
    assert {field.name for field in dataclasses.fields(SmolVLAConfig)} == own | set(ADOPTED) | set(
        DEFAULTED
    )


def test_inference_settings_may_differ_from_the_teachers(teacher_folder: Path) -> None:
    config = student(teacher_folder, num_steps=1, n_action_steps=5)
    assert (config.num_steps, config.n_action_steps, config.chunk_size) == (1, 5, CHUNK)


def test_a_field_given_on_the_command_line_conflicts_even_at_its_default(
    teacher_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "argv", ["lerobot-train", "--policy.chunk_size=50"])
    with pytest.raises(
        ReflowError, match=r"`policy.chunk_size`: is 50, but the teacher was built with 10"
    ):
        student(teacher_folder, chunk_size=50)


def test_the_saved_config_is_a_plain_smolvlas(teacher_folder: Path) -> None:
    saved = student(
        teacher_folder, load_vlm_weights=False, pretrained_path="/home/someone/run"
    ).saved_config()
    assert type(saved) is SmolVLAConfig
    assert saved.load_vlm_weights is True
    assert saved.pretrained_path is None
    assert saved.chunk_size == CHUNK


def test_the_optimizer_preset_has_masters_and_smolvlas_settings(teacher_folder: Path) -> None:
    preset = student(teacher_folder, optimizer_lr=3e-5).get_optimizer_preset()
    assert isinstance(preset, MasterAdamWConfig)
    assert (preset.lr, preset.betas, preset.grad_clip_norm) == (3e-5, (0.9, 0.95), 10)


WRONG_FIELDS = [
    ({"solver": "rk4"}, "solver", "use one of euler, heun"),
    ({"loss": "l1"}, "loss", "use one of mse, pseudo_huber"),
    (
        {"time_sampling": "cosine"},
        "time_sampling",
        "use one of endpoint_mixture, uniform, beta, u_shaped",
    ),
    ({"real_time_sampling": "cosine"}, "real_time_sampling", "use one of"),
    ({"teacher_num_steps": 0}, "teacher_num_steps", "must be at least 1"),
    ({"straightness_freq": -1}, "straightness_freq", "must be 0 (off) or positive"),
    ({"endpoint_mass": 1.5}, "endpoint_mass", "between 0 and 1"),
    ({"mix_real_data": -0.1}, "mix_real_data", "between 0 and 1"),
    ({"ema_decay": 1.0}, "ema_decay", "below 1"),
    ({"use_reflow": False}, "use_reflow", "--policy.type=smolvla"),
    ({"use_peft": True}, "use_peft", "remove use_peft and --peft"),
    ({"compile_model": True}, "compile_model", "leave it false"),
    ({"use_cache": False}, "use_cache", "leave it true"),
    ({"share_vlm": True, "train_expert_only": False}, "share_vlm", "remove one of them"),
    ({"chunk_size": 20, "n_action_steps": 20}, "chunk_size", "remove policy.chunk_size"),
    ({"max_action_dim": 16}, "max_action_dim", "built with 8"),
    ({"num_vlm_layers": 2}, "num_vlm_layers", "built with 4"),
]


@pytest.mark.parametrize(
    ("fields", "name", "fix"), WRONG_FIELDS, ids=[name for _, name, _ in WRONG_FIELDS]
)
def test_an_invalid_field_is_named_with_the_fix(
    teacher_folder: Path, fields: dict[str, Any], name: str, fix: str
) -> None:
    with pytest.raises(ReflowError) as caught:
        student(teacher_folder, **fields)
    assert str(caught.value).startswith(f"`policy.{name}`: ")
    assert fix in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_teacher_is_required() -> None:
    with pytest.raises(
        ReflowError,
        match=r"`policy.teacher_model_path`: reflow needs a teacher; pass --policy.teacher_model",
    ):
        SmolVLAReflowConfig(device="cpu")


@pytest.mark.parametrize("path", ["/no/such/folder", "someone/no-such-repository"])
def test_a_missing_teacher_is_named(path: str) -> None:
    with pytest.raises(
        ReflowError,
        match=rf"{path} is neither a folder nor a Hub repository from which config.json can be",
    ):
        SmolVLAReflowConfig(teacher_model_path=path, device="cpu")


def test_the_parent_of_a_checkpoint_folder_is_recognized(teacher_folder: Path) -> None:
    with pytest.raises(
        ReflowError, match=rf"has no config.json; its subfolder has one: pass {teacher_folder}"
    ):
        student(teacher_folder.parent)


def test_a_teacher_of_another_type_is_refused(teacher_folder: Path, tmp_path: Path) -> None:
    with pytest.raises(
        ReflowError, match="contains a policy of type 'act'; pass a checkpoint of type 'smolvla'"
    ):
        student(changed_teacher(teacher_folder, tmp_path / "t", {"type": "act"}))


@pytest.mark.parametrize(
    "change", [{"use_reflow": False}, {"teacher_model_path": None}, {"type": "smolvla_reflow"}]
)
def test_an_uncleaned_reflow_checkpoint_is_refused_with_the_command_that_cleans_it(
    teacher_folder: Path, tmp_path: Path, change: dict[str, Any]
) -> None:
    folder = changed_teacher(teacher_folder, tmp_path / "t", change)
    with pytest.raises(ReflowError, match=rf"never cleaned.*run `ckpt sanitize {folder}`"):
        student(folder)


def test_a_config_of_unknown_fields_is_refused(teacher_folder: Path, tmp_path: Path) -> None:
    with pytest.raises(ReflowError, match=r"LeRobot cannot read .*config.json .*flux_capacitor"):
        student(changed_teacher(teacher_folder, tmp_path / "t", {"flux_capacitor": 1}))


@pytest.mark.parametrize("text", ["", "{", "[]", "\x00"])
def test_a_config_that_is_no_json_object_is_refused(
    teacher_folder: Path, tmp_path: Path, text: str
) -> None:
    folder = changed_teacher(teacher_folder, tmp_path / "t", {})
    (folder / "config.json").write_text(text)
    with pytest.raises(ReflowError, match=r"is not .*JSON.*; pass an intact checkpoint"):
        student(folder)


def test_the_error_crosses_a_process_boundary() -> None:
    error = pickle.loads(pickle.dumps(ReflowError("solver", "is unknown; use euler.")))
    assert str(error) == "`policy.solver`: is unknown; use euler."


def test_the_tool_knows_every_field_of_the_plugin_and_of_stock_smolvla() -> None:
    assert SMOLVLA.cleaning is not None
    stock = {field.name for field in dataclasses.fields(SmolVLAConfig)}
    assert SMOLVLA.cleaning.known == stock | {"type"}
    assert (
        set(SMOLVLA.cleaning.reserved)
        == {field.name for field in dataclasses.fields(SmolVLAReflowConfig)} - stock
    )
