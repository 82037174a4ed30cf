"""A shared prefix gives the loss and gradients of separate passes, or it is not shared."""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from lerobot.configs.types import FeatureType, PolicyFeature
from lerobot_policy_smolvla_reflow.modeling_smolvla_reflow import SmolVLAReflowPolicy
from lerobot_policy_smolvla_reflow.observation import observe
from lerobot_policy_smolvla_reflow.prefix import encode_prefix, solve_ode
from torch import Tensor

from lerobot_policy_smolvla_reflow import flow
from tests.core.support import (
    ACTION_DIMS,
    CAMERA,
    STATE_DIMS,
    make_batch,
    save_teacher,
    smolvla_config,
)

MakeStudent = Callable[..., SmolVLAReflowPolicy]
SECOND_CAMERA = "observation.images.wrist"


def loss_and_gradients(
    student: SmolVLAReflowPolicy, batch: dict[str, Tensor], **inputs: Any
) -> tuple[Tensor, dict[str, Tensor]]:
    torch.manual_seed(3)
    student.zero_grad()
    loss, _ = student.forward(batch, **inputs)
    loss.backward()
    return loss.detach(), {
        name: parameter.grad.clone()
        for name, parameter in student.named_parameters()
        if parameter.grad is not None
    }


def assert_equal_to(
    one: tuple[Tensor, dict[str, Tensor]], other: tuple[Tensor, dict[str, Tensor]], tolerance: float
) -> None:
    torch.testing.assert_close(one[0], other[0], rtol=tolerance, atol=0)
    assert one[1].keys() == other[1].keys()
    for name, gradient in one[1].items():
        scale = other[1][name].norm()
        assert (gradient - other[1][name]).norm() <= tolerance * scale + 1e-12, name


def stock_loss_and_gradients(
    student: SmolVLAReflowPolicy, batch: dict[str, Tensor]
) -> tuple[Tensor, dict[str, Tensor]]:
    """The same step with only LeRobot's passes: `sample_actions` and the training pass."""
    torch.manual_seed(3)
    student.zero_grad()
    parts = observe(student, batch)
    noise = torch.randn(len(parts[-1]), student.config.chunk_size, student.config.max_action_dim)
    time = torch.tensor([1.0, 0.6, 0.2])
    assert student._teacher is not None
    with torch.no_grad():
        z0 = student._teacher.policy.model.sample_actions(*parts, noise=noise)
    loss = student.model.forward(*parts, z0, noise=noise, time=time).mean()
    loss.backward()
    gradients = {
        name: parameter.grad.clone()
        for name, parameter in student.named_parameters()
        if parameter.grad is not None
    }
    shared = loss_and_gradients(student, batch, noise=noise, time=time)
    assert_equal_to(shared, (loss.detach(), gradients), 1e-5)
    return loss.detach(), gradients


VARIANTS: dict[str, dict[str, Any]] = {
    "cross attention": {},
    "self attention": {"attention_mode": "self_attn"},
    "fewer expert layers": {"num_expert_layers": 2, "self_attn_every_n_layers": -1},
    "padded prefix": {"prefix_length": 60},
    "image tokens": {"add_image_special_tokens": True},
    "every layer crosses": {"self_attn_every_n_layers": -1},
}


@pytest.mark.parametrize("variant", VARIANTS)
def test_a_step_equals_lerobots_own_passes(
    variant: str,
    tiny_vlm: Path,
    tmp_path: Path,
    make_student: MakeStudent,
    batch: dict[str, Tensor],
) -> None:
    teacher = save_teacher(tmp_path / "t", smolvla_config(tiny_vlm, **VARIANTS[variant]))
    loss, gradients = stock_loss_and_gradients(make_student(teacher, f32=True), batch)
    assert loss > 0
    assert gradients["model.state_proj.weight"].norm() > 0


def test_a_step_with_two_cameras_one_of_them_masked_equals_lerobots_own_passes(
    tiny_vlm: Path, tmp_path: Path, make_student: MakeStudent
) -> None:
    features = {
        name: PolicyFeature(type=FeatureType.VISUAL, shape=(3, 64, 64))
        for name in (CAMERA, SECOND_CAMERA)
    }
    features["observation.state"] = PolicyFeature(type=FeatureType.STATE, shape=(STATE_DIMS,))
    teacher = save_teacher(tmp_path / "t", smolvla_config(tiny_vlm, input_features=features))
    batch = make_batch(cameras=(CAMERA, SECOND_CAMERA), action_dims=ACTION_DIMS)
    batch[f"{SECOND_CAMERA}_padding_mask"] = torch.tensor([True, False, True])
    stock_loss_and_gradients(make_student(teacher, f32=True), batch)


@pytest.mark.parametrize("solver", flow.SOLVERS)
@pytest.mark.parametrize("loss", flow.LOSSES)
def test_sharing_and_not_sharing_agree_after_the_students_weights_have_moved(
    solver: str, loss: str, make_student: MakeStudent, batch: dict[str, Tensor]
) -> None:
    results = []
    for share_prefix in (True, False):
        student = make_student(f32=True, share_prefix=share_prefix, solver=solver, loss=loss)
        torch.manual_seed(11)
        with torch.no_grad():
            for parameter in student.parameters():
                if parameter.requires_grad:
                    parameter.add_(torch.randn_like(parameter), alpha=0.02)
        results.append(loss_and_gradients(student, batch))
    assert_equal_to(results[0], results[1], 1e-5)


def test_the_prefix_ignores_the_state(make_student: MakeStudent, batch: dict[str, Tensor]) -> None:
    student = make_student(f32=True)
    observation = observe(student, batch)
    other = observe(student, batch | {"observation.state": batch["observation.state"] + 100})
    for one, two in zip(
        encode_prefix(student.model, observation).keys,
        encode_prefix(student.model, other).keys,
        strict=True,
    ):
        assert torch.equal(one, two)
    noise = torch.randn(3, 10, 8)
    assert not torch.equal(
        solve_ode(student.model, observation, noise, 1, "euler").z0_BTA,
        solve_ode(student.model, other, noise, 1, "euler").z0_BTA,
    )


def test_the_prefix_carries_no_gradient_and_the_state_does(
    make_student: MakeStudent, batch: dict[str, Tensor]
) -> None:
    student = make_student()
    assert not any(
        tensor.requires_grad
        for tensor in encode_prefix(student.model, observe(student, batch)).keys
    )
    _, gradients = loss_and_gradients(student, batch)
    assert gradients.keys() == {
        name
        for name, parameter in student.named_parameters()
        if parameter.requires_grad and "lm_expert.embed" not in name
    }


def test_the_attention_mode_is_restored(
    make_student: MakeStudent, batch: dict[str, Tensor]
) -> None:
    student = make_student()
    student.forward(batch)
    assert student._teacher is not None
    assert (
        student.model.vlm_with_expert.attention_mode
        == student._teacher.policy.model.vlm_with_expert.attention_mode
        == "cross_attn"
    )


def separate(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records if "prefix" in record.getMessage()]


def test_a_trained_vlm_is_not_shared_and_the_log_says_so(
    make_student: MakeStudent, batch: dict[str, Tensor], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    student = make_student(train_expert_only=False, freeze_vision_encoder=False)
    _, gradients = loss_and_gradients(student, batch)
    assert any(".vlm_with_expert.vlm." in name for name in gradients)
    assert separate(caplog) == [
        "[Reflow] Student and teacher run the prefix separately: the student's VLM trains"
    ]


def test_a_different_vlm_is_not_shared_and_the_log_says_so_once(
    make_student: MakeStudent, batch: dict[str, Tensor], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    student = make_student(f32=True)
    with torch.no_grad():
        student.model.vlm_with_expert.vlm.lm_head.weight[0, 0] += 1
    student.forward(batch)
    student.forward(batch)
    assert separate(caplog) == [
        (
            "[Reflow] Student and teacher run the prefix separately: the VLMs of student and "
            "teacher "
            "differ"
        )
    ]


def test_a_vlm_written_to_after_the_first_step_is_noticed(
    make_student: MakeStudent, batch: dict[str, Tensor], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    student = make_student(f32=True)
    student.forward(batch)
    with torch.no_grad():
        student.model.vlm_with_expert.vlm.lm_head.weight[0, 0] += 1
    student.forward(batch)
    assert [line.partition(":")[0] for line in separate(caplog)] == [
        "[Reflow] Student and teacher share one image and language prefix",
        "[Reflow] Student and teacher run the prefix separately",
    ]


def test_targets_come_from_the_teachers_own_vlm_when_it_differs(
    make_student: MakeStudent, batch: dict[str, Tensor]
) -> None:
    noise, time = torch.randn(3, 10, 8), torch.ones(3)
    student = make_student(f32=True)
    assert student._teacher is not None
    observation = observe(student, batch)
    expected = solve_ode(student._teacher.policy.model, observation, noise, 10, "euler").z0_BTA
    with torch.no_grad():
        for parameter in student.model.vlm_with_expert.vlm.parameters():
            parameter.add_(0.05)
    loss, _ = student.forward(batch, noise=noise, time=time)
    own = student.model.forward(*observation, expected, noise=noise, time=time).mean()
    torch.testing.assert_close(loss, own, rtol=1e-4, atol=0)
