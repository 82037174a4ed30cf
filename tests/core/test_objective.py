"""The target is the teacher's whole chunk; rows of real data have LeRobot's own loss."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from lerobot.configs.types import FeatureType, PolicyFeature
from lerobot.policies.smolvla.modeling_smolvla import SmolVLAPolicy
from lerobot_policy_smolvla_reflow.modeling_smolvla_reflow import SmolVLAReflowPolicy
from lerobot_policy_smolvla_reflow.objectives.reduction import batch_loss
from lerobot_policy_smolvla_reflow.objectives.step import Demonstrations
from lerobot_policy_smolvla_reflow.observation import observe
from lerobot_policy_smolvla_reflow.prefix import solve_ode
from lerobot_policy_smolvla_reflow.sampling import sample_step
from torch import Tensor

from lerobot_policy_smolvla_reflow import flow, modeling_smolvla_reflow
from tests.core.support import ACTION_DIMS, CHUNK, make_batch, save_teacher, smolvla_config

MakeStudent = Callable[..., SmolVLAReflowPolicy]
PADDED = slice(ACTION_DIMS, None)


def inputs() -> dict[str, Tensor]:
    random = torch.Generator().manual_seed(2)
    return {
        "noise": torch.randn(3, CHUNK, 8, generator=random),
        "time": torch.tensor([1.0, 0.5, 0.1]),
    }


def test_padded_output_rows_are_trained(
    make_student: MakeStudent, batch: dict[str, Tensor]
) -> None:
    student = make_student(f32=True)
    student.forward(batch, **inputs())[0].backward()
    gradient = student.model.action_out_proj.weight.grad
    assert gradient is not None
    assert gradient[PADDED].norm() > 0.01 * gradient[:ACTION_DIMS].norm()


def test_noise_in_padded_dimensions_reaches_the_real_ones(
    make_student: MakeStudent, batch: dict[str, Tensor]
) -> None:
    # So the noise must not be zero there: the teacher's result would change.
    student = make_student(f32=True)
    observation, noise = observe(student, batch), inputs()["noise"]
    zeroed = noise.clone()
    zeroed[:, :, PADDED] = 0
    full, cut = (
        solve_ode(student.model, observation, z1, 10, "euler").z0_BTA for z1 in (noise, zeroed)
    )
    assert (full - cut)[:, :, :ACTION_DIMS].norm() > 0.01 * full[:, :, :ACTION_DIMS].norm()
    assert full[:, :, PADDED].norm() > 0


def test_the_step_draws_noise_in_every_dimension(
    make_student: MakeStudent, batch: dict[str, Tensor], monkeypatch: pytest.MonkeyPatch
) -> None:
    student = make_student(f32=True)
    seen: list[Tensor] = []

    def spy(*arguments: Any) -> Any:
        sample = sample_step(*arguments)
        seen.append(sample.z1_BTA)
        return sample

    monkeypatch.setattr(modeling_smolvla_reflow, "sample_step", spy)
    student.forward(batch)
    assert seen[0].shape == (3, CHUNK, 8)
    assert (seen[0] != 0).all()


def test_the_loss_is_the_error_to_the_teachers_own_end_point(
    make_student: MakeStudent, batch: dict[str, Tensor]
) -> None:
    student = make_student(f32=True, teacher_num_steps=4, solver="heun")
    assert student._teacher is not None
    observation, given = observe(student, batch), inputs()
    z0 = solve_ode(student._teacher.policy.model, observation, given["noise"], 4, "heun").z0_BTA
    expected = student.model.forward(*observation, z0, noise=given["noise"], time=given["time"])
    torch.testing.assert_close(
        student.forward(batch, **given)[0], expected.mean(), rtol=1e-5, atol=0
    )
    per_sample, _ = student.forward(batch, **given, reduction="none")
    torch.testing.assert_close(per_sample, expected.mean(dim=(1, 2)), rtol=1e-5, atol=0)


def test_steps_after_the_episodes_end_count_like_any_other(
    make_student: MakeStudent, batch: dict[str, Tensor]
) -> None:
    student = make_student(f32=True)
    with_mark, _ = student.forward(batch, **inputs())
    without, _ = student.forward(
        {key: value for key, value in batch.items() if key != "action_is_pad"}, **inputs()
    )
    assert torch.equal(with_mark, without)


def test_the_datasets_actions_do_not_matter(
    make_student: MakeStudent, batch: dict[str, Tensor]
) -> None:
    student = make_student(f32=True)
    assert torch.equal(
        student.forward(batch, **inputs())[0],
        student.forward(batch | {"action": batch["action"] + 9}, **inputs())[0],
    )


def test_a_one_step_teacher_is_matched_from_the_start(
    make_student: MakeStudent, batch: dict[str, Tensor]
) -> None:
    # At t = 1 the student, still a copy, predicts exactly what one Euler step of the teacher did.
    student = make_student(f32=True, teacher_num_steps=1, endpoint_mass=1.0)
    loss, measured = student.forward(batch)
    assert loss < 1e-10
    assert measured["straightness_teacher"] < 1e-10


def test_straightness_is_reported_at_every_step_and_uses_no_randomness(
    make_student: MakeStudent, batch: dict[str, Tensor]
) -> None:
    losses = []
    for frequency in (0, 1, 2):
        student = make_student(f32=True, straightness_freq=frequency)
        torch.manual_seed(0)
        reports = [student.forward(batch) for _ in range(3)]
        losses.append([float(loss.detach()) for loss, _ in reports])
        assert all(
            ("straightness_student" in measured) == bool(frequency) for _, measured in reports
        )
    assert losses[0] == losses[1] == losses[2]
    _, measured = reports[0]
    assert measured["straightness_student"] == pytest.approx(
        measured["straightness_teacher"], rel=1e-4
    )
    assert measured["straightness_teacher"] > 1e-4


# --- rows of real data ----------------------------------------------------------------------------


@pytest.mark.parametrize("reduction", ["mean", "none"])
def test_a_batch_of_real_rows_has_lerobots_own_loss(
    make_student: MakeStudent, teacher_folder: Path, batch: dict[str, Tensor], reduction: str
) -> None:
    student = make_student(f32=True, mix_real_data=1.0)
    stock = SmolVLAPolicy.from_pretrained(teacher_folder).float()
    expected, _ = stock.forward(dict(batch), **inputs(), reduction=reduction)
    torch.testing.assert_close(
        student.forward(batch, **inputs(), reduction=reduction)[0], expected, rtol=1e-5, atol=0
    )


def test_real_rows_take_no_teacher_pass_when_all_are_real(
    make_student: MakeStudent, batch: dict[str, Tensor]
) -> None:
    _, measured = make_student(mix_real_data=1.0).forward(batch)
    assert "straightness_teacher" not in measured


def test_mixed_rows_are_each_reduced_by_their_own_rule(
    make_student: MakeStudent, batch: dict[str, Tensor]
) -> None:
    torch.manual_seed(1)
    results = {share: make_student(f32=True, mix_real_data=share) for share in (0.0, 0.5, 1.0)}
    pure, real = (
        results[share].forward(batch, **inputs(), reduction="none")[0] for share in (0.0, 1.0)
    )
    seen = set()
    for seed in range(12):
        torch.manual_seed(seed)
        mixed = results[0.5].forward(batch, **inputs(), reduction="none")[0]
        is_real = (mixed - real).abs() < (mixed - pure).abs()
        torch.testing.assert_close(mixed, torch.where(is_real, real, pure), rtol=1e-4, atol=0)
        seen.add(tuple(is_real.tolist()))
    assert len(seen) > 2


def test_mean_weights_the_two_kinds_by_their_share_of_rows() -> None:
    squared = torch.rand(4, CHUNK, 8, generator=torch.Generator().manual_seed(0))
    is_pad = torch.zeros(4, CHUNK, dtype=torch.bool)
    is_pad[0, 5:] = True
    real = torch.tensor([True, True, False, False])
    given = Demonstrations(torch.zeros_like(squared), is_pad, ACTION_DIMS)
    counted = squared[:2, :, :ACTION_DIMS]
    real_mean = (counted * ~is_pad[:2, :, None]).sum() / ((CHUNK + 5) * ACTION_DIMS)
    expected = 0.5 * real_mean + 0.5 * squared[2:].mean()
    torch.testing.assert_close(batch_loss("mse", squared, real, given, "mean"), expected)


def test_an_unknown_reduction_is_named() -> None:
    zero, given = torch.zeros(1, 1, 1), Demonstrations(torch.zeros(1, 1, 1), None, 1)
    with pytest.raises(ValueError, match="unknown reduction 'sum'; one of mean, none"):
        batch_loss("mse", zero, torch.tensor([False]), given, "sum")


def test_an_aloha_state_is_decoded_once_and_the_batch_is_unchanged(
    tiny_vlm: Path, tmp_path: Path, make_student: MakeStudent
) -> None:
    features = {
        "input_features": {
            "observation.images.top": PolicyFeature(type=FeatureType.VISUAL, shape=(3, 64, 64)),
            "observation.state": PolicyFeature(type=FeatureType.STATE, shape=(14,)),
        },
        "output_features": {"action": PolicyFeature(type=FeatureType.ACTION, shape=(14,))},
    }  # fmt: skip
    teacher = save_teacher(
        tmp_path / "t",
        smolvla_config(
            tiny_vlm, adapt_to_pi_aloha=True, max_action_dim=16, max_state_dim=16, **features
        ),
    )
    batch = make_batch(action_dims=14)
    before = {key: value.clone() for key, value in batch.items()}
    noise, time = torch.randn(3, CHUNK, 16), torch.tensor([1.0, 0.5, 0.1])
    student, stock = (
        make_student(teacher, f32=True, mix_real_data=1.0),
        SmolVLAPolicy.from_pretrained(teacher).float(),
    )
    loss, _ = student.forward(batch, noise, time)
    assert all(torch.equal(value, before[key]) for key, value in batch.items())
    torch.testing.assert_close(loss, stock.forward(batch, noise, time)[0], rtol=1e-5, atol=0)
    # A state with a time axis, as LeRobot's training batches have it.
    loss_of_sequence, _ = student.forward(
        before | {"observation.state": before["observation.state"][:, None]}, noise, time
    )
    assert torch.equal(loss, loss_of_sequence)


@pytest.mark.parametrize("loss", flow.LOSSES)
def test_every_loss_falls_when_trained_on_one_batch(
    make_student: MakeStudent, batch: dict[str, Tensor], loss: str
) -> None:
    student = make_student(loss=loss)
    optimizer = student.config.get_optimizer_preset().build(student.get_optim_params())
    assert isinstance(optimizer, torch.optim.Optimizer)
    for group in optimizer.param_groups:
        group["lr"] = 3e-3
    values = []
    for _ in range(25):
        value, _ = student.forward(batch, **inputs())
        value.backward()
        optimizer.step()
        optimizer.zero_grad()
        values.append(float(value.detach()))
    assert values[-1] < values[0] / 2
