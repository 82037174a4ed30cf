"""Every objective in the policy: prefix, passes, weight average, stored pairs."""

from __future__ import annotations

import copy
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from lerobot.policies.smolvla.modeling_smolvla import VLAFlowMatching
from lerobot_policy_smolvla_reflow.modeling_smolvla_reflow import SmolVLAReflowPolicy
from lerobot_policy_smolvla_reflow.objectives import OBJECTIVES
from lerobot_policy_smolvla_reflow.observation import observe
from lerobot_policy_smolvla_reflow.prefix import encode_prefix, velocity, whole_velocity
from torch import Tensor

from lerobot_policy_smolvla_reflow import ReflowError, flow, modeling_smolvla_reflow
from tests.core.support import CHUNK, store_pairs

MakeStudent = Callable[..., SmolVLAReflowPolicy]
FEW = {"samples": 2, "teacher_num_steps": 2}


def few(objective: str, **fields: Any) -> dict[str, Any]:
    """Fields with little work for an objective."""
    known = OBJECTIVES[objective].fields(SimpleNamespace(positives="demonstrations"))
    return {
        "objective": objective,
        **{name: value for name, value in FEW.items() if name in known},
        **fields,
    }


def gradients(student: SmolVLAReflowPolicy, batch: dict[str, Tensor]) -> dict[str, Tensor]:
    torch.manual_seed(3)
    loss, _ = student.forward(batch)
    loss.backward()
    found = {"": loss.detach()}
    return found | {
        name: parameter.grad
        for name, parameter in student.named_parameters()
        if parameter.grad is not None
    }


@pytest.mark.parametrize("objective", OBJECTIVES)
def test_one_prefix_serves_all_passes_and_gives_the_gradients_of_full_passes(
    objective: str,
    make_student: MakeStudent,
    batch: dict[str, Tensor],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    full = gradients(make_student(f32=True, **few(objective, share_prefix=False)), batch)
    encoded: list[object] = []

    def counted(*arguments: Any) -> Any:
        encoded.append(arguments)
        return encode_prefix(*arguments)

    monkeypatch.setattr(modeling_smolvla_reflow, "encode_prefix", counted)
    monkeypatch.setattr("lerobot_policy_smolvla_reflow.prefix.encode_prefix", counted)
    shared = gradients(make_student(f32=True, **few(objective)), batch)
    assert len(encoded) == 1
    assert shared.keys() == full.keys()
    for name, gradient in shared.items():
        assert (gradient - full[name]).norm() <= 2e-4 * full[name].norm() + 1e-9, name
    assert not any(".vlm." in name for name in shared)


def test_a_full_pass_is_lerobots_bit_for_bit(
    make_student: MakeStudent, batch: dict[str, Tensor]
) -> None:
    student = make_student(train_expert_only=False)
    observation, time = observe(student, batch), torch.tensor([1.0, 0.4, 0.1])
    z0, z1 = torch.randn(2, 3, CHUNK, 8)
    own = whole_velocity(student.model, observation)(flow.interpolate(z0, z1, time), time)
    expected = student.model.forward(*observation, z0, noise=z1, time=time)
    assert torch.equal((z1 - z0 - own).square(), expected)


def test_a_multiple_of_the_batch_is_evaluated_as_its_parts(
    make_student: MakeStudent, batch: dict[str, Tensor]
) -> None:
    student = make_student(f32=True)
    observation, time, x = observe(student, batch), torch.rand(6), torch.randn(6, CHUNK, 8)
    for at in (velocity(student.model, observation), whole_velocity(student.model, observation)):
        parts = [at(x[rows], time[rows]) for rows in (slice(3), slice(3, 6))]
        torch.testing.assert_close(at(x, time), torch.cat(parts), rtol=1e-4, atol=1e-4)


def test_the_target_of_consistency_is_the_average_and_the_weights_stay(
    make_student: MakeStudent, batch: dict[str, Tensor]
) -> None:
    student = make_student(objective="consistency", f32=True, ema_decay=0.5)
    with torch.no_grad():
        for parameter in student.parameters():
            if parameter.requires_grad:
                parameter.add_(torch.randn_like(parameter), alpha=0.05)
    student.update()
    averaged = copy.deepcopy(student)
    averaged.load_state_dict(student._average.weights, strict=False)
    before = {name: (p.data_ptr(), p.clone()) for name, p in student.named_parameters()}
    observation, time, x = observe(student, batch), torch.rand(3), torch.randn(3, CHUNK, 8)
    prefix = encode_prefix(student.model, observation)
    given = student._average_velocity(observation, prefix, x, time)
    expected = velocity(averaged.model, observation, prefix)(x, time)
    assert torch.equal(given, expected)
    assert not torch.equal(given, velocity(student.model, observation, prefix)(x, time))
    for name, parameter in student.named_parameters():
        assert parameter.data_ptr() == before[name][0]
        assert torch.equal(parameter, before[name][1])


def test_an_interrupted_average_gives_the_weights_back(make_student: MakeStudent) -> None:
    student = make_student(objective="consistency")
    parameter = student.model.action_in_proj.weight
    live = parameter.data
    student._average.weights["model.action_in_proj.weight"] += 1
    exchange = student._average.in_place_of(student.named_parameters())
    exchange.__enter__()
    assert not torch.equal(parameter, live)
    assert not exchange.__exit__(KeyboardInterrupt, KeyboardInterrupt(), None)
    assert parameter.data_ptr() == live.data_ptr()


# --- stored pairs ---------------------------------------------------------------------------------


@pytest.mark.parametrize("objective", ["drift", "imle"])
def test_positives_are_all_stored_end_points_of_a_frame(
    objective: str,
    make_student: MakeStudent,
    teacher_folder: Path,
    batch: dict[str, Tensor],
    tmp_path: Path,
) -> None:
    folder = tmp_path / "pairs"
    z0 = store_pairs(folder, teacher_folder, frames=4, draws=3)
    fields: dict[str, Any] = {"objective": objective, "positives": "teacher", "samples": 2}
    student = make_student(pairs_path=str(folder), **fields)
    assert student._teacher is None
    assert student._pairs is not None
    found = student._pairs.end_points(batch, torch.device("cpu"))
    assert torch.equal(found, z0[:3].movedim(1, 0))
    assert torch.isfinite(student.forward(batch)[0])


def test_one_stored_pair_per_frame_is_not_enough_for_a_set(
    make_student: MakeStudent, teacher_folder: Path, tmp_path: Path
) -> None:
    folder = str(tmp_path / "pairs")
    store_pairs(tmp_path / "pairs", teacher_folder, frames=4, draws=1)
    make_student(pairs_path=folder, objective="grid")
    with pytest.raises(ReflowError, match=r"one pair per frame, but objective drift .* --draws 8"):
        make_student(pairs_path=folder, objective="drift", positives="teacher")


# --- training -------------------------------------------------------------------------------------


@pytest.mark.parametrize("objective", OBJECTIVES)
def test_a_step_moves_only_the_expert_and_keeps_a_teacher_only_where_it_needs_one(
    objective: str, make_student: MakeStudent, batch: dict[str, Tensor]
) -> None:
    student = make_student(**few(objective))
    needs_teacher = objective in ("reflow", "grid", "snapflow", "consistency")
    assert (student._teacher is not None) == needs_teacher
    before = {name: value.clone() for name, value in student.named_parameters()}
    optimizer = student.config.get_optimizer_preset().build(student.get_optim_params())
    assert isinstance(optimizer, torch.optim.Optimizer)
    per_row, logged = student.forward(batch, reduction="none")
    assert per_row.shape == (3,)
    assert logged["loss"] == pytest.approx(float(per_row.detach().mean()), rel=1e-5)
    per_row.mean().backward()
    optimizer.step()
    moved = {
        name for name, value in student.named_parameters() if not torch.equal(value, before[name])
    }
    assert moved
    assert not any(".vlm." in name for name in moved)
    assert type(student.model) is VLAFlowMatching
