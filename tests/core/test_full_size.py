"""A full-size SmolVLA with random weights has the documented counts and file size."""

from __future__ import annotations

import importlib.util
import logging
import sys
from pathlib import Path

import pytest
import torch
from lerobot_policy_smolvla_reflow.modeling_smolvla_reflow import SmolVLAReflowPolicy
from safetensors import safe_open

from lerobot_policy_smolvla_reflow import SmolVLAReflowConfig
from tests.core.support import ROOT

pytestmark = pytest.mark.slow

PARAMETERS, TRAINABLE, TENSORS, VLM_TENSORS, FILE_BYTES = (
    450_046_176,
    99_880_992,
    500,
    345,
    906_712_520,
)


def test_a_full_size_student_has_the_known_counts_and_saves_the_known_file(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    spec = importlib.util.spec_from_file_location("full_size", ROOT / "benchmarks/full_size.py")
    assert spec is not None
    assert spec.loader is not None
    full_size = sys.modules["full_size"] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(full_size)
    teacher = full_size.make_teacher(
        tmp_path / "teacher", full_size.make_vlm(tmp_path / "vlm", weights=False)
    )
    assert (teacher / "model.safetensors").stat().st_size == FILE_BYTES

    caplog.set_level(logging.INFO)
    student = SmolVLAReflowPolicy(
        SmolVLAReflowConfig(teacher_model_path=str(teacher), device="cpu", share_vlm=True)
    )
    assert sum(parameter.numel() for parameter in student.parameters()) == PARAMETERS
    assert (
        sum(parameter.numel() for parameter in student.parameters() if parameter.requires_grad)
        == TRAINABLE
    )
    assert "[Reflow] Total parameters: 450,046,176" in caplog.messages
    assert "[Reflow] Trainable parameters: 99,880,992 (22.19%)" in caplog.messages

    loss, _ = student.forward(full_size.batch(1, 1))
    loss.backward()
    assert torch.isfinite(loss)
    student.save_pretrained(tmp_path / "student")
    assert (tmp_path / "student/model.safetensors").stat().st_size == FILE_BYTES
    with (
        safe_open(tmp_path / "student/model.safetensors", framework="pt") as saved,
        safe_open(teacher / "model.safetensors", framework="pt") as original,
    ):
        names = list(saved.keys())
        assert len(names) == TENSORS
        assert sum(name.startswith("model.vlm_with_expert.vlm.") for name in names) == VLM_TENSORS
        for name in names:
            assert torch.equal(saved.get_tensor(name), original.get_tensor(name)), name
