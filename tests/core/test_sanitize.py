"""A policy with reflow leftovers, sanitized: the original files, which stock LeRobot loads."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
import torch
from lerobot.policies.smolvla.modeling_smolvla import SmolVLAPolicy
from safetensors.torch import load_file, save_file

from ckpt_tools import api
from tests.core.support import make_batch


@pytest.mark.lerobot
def test_a_sanitized_reflow_checkpoint_acts_as_before(teacher_folder: Path, tmp_path: Path) -> None:
    shutil.copytree(teacher_folder, tmp_path / "dirty")
    tensors = load_file(teacher_folder / "model.safetensors")
    vlm = {name for name in tensors if ".vlm." in name}
    student = {name: tensor for name, tensor in tensors.items() if name not in vlm}
    teacher = {
        f"model._teacher_model.{name}": tensor if name in vlm else tensor + 1
        for name, tensor in tensors.items()
    }
    aliases = {name: f"model._teacher_model.{name}" for name in vlm}
    save_file(student | teacher, tmp_path / "dirty/model.safetensors", metadata=aliases)
    config = json.loads((teacher_folder / "config.json").read_text())
    config |= {"use_reflow": True, "teacher_model_path": "/home/someone/teacher"}
    (tmp_path / "dirty/config.json").write_text(json.dumps(config, indent=4))
    plan = api.sanitize(str(tmp_path / "dirty"))
    assert plan.remains == ()
    api.write(plan, str(tmp_path / "clean"))
    for file in teacher_folder.iterdir():
        assert (tmp_path / "clean" / file.name).read_bytes() == file.read_bytes(), file.name
    noise = torch.randn(3, 10, 8, generator=torch.Generator().manual_seed(0))
    actions = [
        SmolVLAPolicy.from_pretrained(folder, strict=True).predict_action_chunk(make_batch(), noise)
        for folder in (teacher_folder, tmp_path / "clean")
    ]
    assert torch.equal(*actions)
