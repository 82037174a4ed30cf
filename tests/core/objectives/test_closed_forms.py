"""Every objective on velocity fields whose exact one-step map is known."""

from __future__ import annotations

import math
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from lerobot_policy_smolvla_reflow.objectives import OBJECTIVES, drift, samples
from lerobot_policy_smolvla_reflow.objectives.step import Demonstrations, Settings, Step
from torch import Tensor

from lerobot_policy_smolvla_reflow import flow

ROWS, CHUNK, DIMS = 5, 3, 4
POINT, FINE = 0.7, 10
LEFT = 1 - 1 / FINE  # what one step of the linear teacher leaves of x


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def noise(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(shape or (ROWS, CHUNK, DIMS), generator=generator(seed), dtype=torch.float64)


def settings(**changes: Any) -> Settings:
    values: dict[str, Any] = {
        "teacher_num_steps": FINE, "solver": "euler", "loss": "mse", "mix_real_data": 0.0,
        "grid_steps": 1, "samples": 6, "positives": "demonstrations", "pairs_path": None,
    }  # fmt: skip
    return SimpleNamespace(**(values | changes))  # type: ignore[return-value]  # has its fields


def unused(x: Tensor, time: Tensor) -> Tensor:
    raise AssertionError("this objective needs none")


def linear(x: Tensor, _: Tensor) -> Tensor:
    """Euler's n steps from z end at z (1 - 1/n)^n."""
    return x


def to_point(x: Tensor, time: Tensor) -> Tensor:
    """Straight paths from any noise to POINT."""
    return (x - POINT) / time[:, None, None].clamp_min(1e-9)


def step(actions: Tensor | float = POINT, is_pad: Tensor | None = None, **changes: Any) -> Step:
    z1 = changes.get("z1_BTA", noise())
    given = Demonstrations(torch.zeros_like(z1) + actions, is_pad, DIMS)
    values: dict[str, Any] = {
        "z1_BTA": z1, "time_B": torch.linspace(0.1, 1, len(z1), dtype=z1.dtype),
        "real_B": torch.zeros(len(z1), dtype=torch.bool), "generator": generator(1),
        "stored_PBTA": None, "teacher": unused, "student": unused, "average": unused,
        "demonstrations": given, "progress": 0.0, "reduction": "mean",
    }  # fmt: skip
    return Step(**(values | changes))


def loss(name: str, given: Step, **changes: Any) -> Tensor:
    return OBJECTIVES[name].loss(given, settings(**changes)).value


def zero(value: Tensor) -> bool:
    return value.item() == pytest.approx(0, abs=1e-12)


# --- what the teacher's path determines -----------------------------------------------------------


def test_reflows_minimiser_is_the_straight_path_to_the_teachers_end_point() -> None:
    left = LEFT**FINE

    def student(x: Tensor, time: Tensor) -> Tensor:  # x_t = z (t + (1 - t) left)
        t = time[:, None, None]
        return (1 - left) * x / (t + (1 - t) * left)

    assert zero(loss("reflow", step(teacher=linear, student=student)))
    assert not zero(loss("reflow", step(teacher=linear, student=linear)))


@pytest.mark.parametrize("k", [1, 2, 5, 10])
def test_k_steps_of_grids_minimiser_end_exactly_where_the_teacher_does(k: int) -> None:
    def student(x: Tensor, _: Tensor) -> Tensor:
        return k * (1 - LEFT ** (FINE / k)) * x

    assert zero(loss("grid", step(teacher=linear, student=student), grid_steps=k))
    ends = [flow.solve(v, noise(), n).z0_BTA for v, n in ((student, k), (linear, FINE))]
    torch.testing.assert_close(*ends)


@pytest.mark.parametrize("k", [1, 2, 5])
def test_grid_trains_only_at_the_samplers_own_times(k: int) -> None:
    seen: list[float] = []

    def student(x: Tensor, time: Tensor) -> Tensor:
        seen.extend(time.tolist())
        return x

    for seed in range(20):
        loss("grid", step(teacher=linear, student=student, generator=generator(seed)), grid_steps=k)
    trained = set(seen)
    seen.clear()
    flow.solve(student, noise(), k)
    assert trained == set(seen)


def test_grid_of_one_step_is_reflow_at_pure_noise() -> None:
    given = step(teacher=linear, student=lambda x, _: 0.3 * x, time_B=torch.ones(ROWS))
    torch.testing.assert_close(loss("grid", given), loss("reflow", given))


def test_grid_counts_padded_dimensions_only_where_another_step_follows() -> None:
    def wrong_in(dims: slice, k: int, seed: int) -> float:
        def student(x: Tensor, _: Tensor) -> Tensor:
            off = torch.zeros_like(x)
            off[..., dims] = 1
            return k * (1 - LEFT ** (FINE / k)) * x + off

        given = Demonstrations(torch.zeros_like(noise()), None, DIMS - 1)
        one = step(
            teacher=linear, student=student, demonstrations=given, generator=generator(seed)
        )  # fmt: skip
        return loss("grid", one, grid_steps=k).item()

    padded, own = slice(DIMS - 1, None), slice(DIMS - 1)
    assert wrong_in(padded, 1, 0) == pytest.approx(0, abs=1e-12)
    assert wrong_in(own, 1, 0) == pytest.approx(1)
    assert 0 < sum(wrong_in(padded, 2, seed) for seed in range(9)) < 9 / DIMS


def test_stored_pairs_replace_the_teachers_path() -> None:
    end = flow.solve(linear, noise(), FINE).z0_BTA[None]
    for name in ("reflow", "grid"):
        online = step(teacher=linear, student=lambda x, _: 0.3 * x)
        stored = step(stored_PBTA=end, student=lambda x, _: 0.3 * x)
        torch.testing.assert_close(loss(name, online), loss(name, stored, pairs_path="pairs"))


def test_snapflow_is_zero_where_the_teacher_is_straight_and_right() -> None:
    assert zero(loss("snapflow", step(teacher=to_point, student=to_point)))


def test_snapflows_minimiser_at_noise_is_two_steps_of_the_teacher() -> None:
    factor = torch.tensor(0.75, dtype=torch.float64, requires_grad=True)  # 1 - (1 - 1/2)^2

    def student(x: Tensor, time: Tensor) -> Tensor:
        return torch.where(time[:, None, None] == 1, factor * x, 0 * x)

    loss("snapflow", step(teacher=linear, student=student)).backward()
    assert factor.grad is not None
    assert zero(factor.grad)


def test_consistency_is_zero_on_a_straight_teacher() -> None:
    for progress in (0.0, 1.0):
        given = step(teacher=to_point, student=to_point, average=to_point, progress=progress)
        assert zero(loss("consistency", given))


def test_consistency_compares_with_the_average_after_one_teacher_step() -> None:
    given = step(
        teacher=linear, student=lambda x, _: 2 * x, average=lambda x, _: 3 * x,
        time_B=torch.ones(1), z1_BTA=noise(1, 1, 1),
    )  # fmt: skip
    z = noise(1, 1, 1)
    x = z - 0.5 * z
    expected = ((z - 2 * z) - (x - 0.5 * 3 * x)).square().mean()
    torch.testing.assert_close(loss("consistency", given), expected)


def test_the_gap_of_consistency_falls_from_a_half_to_a_twentieth() -> None:
    gaps = []
    for progress in (0.0, 0.5, 1.0):
        given = step(teacher=to_point, student=to_point, average=to_point, progress=progress)
        gaps.append(OBJECTIVES["consistency"].loss(given, settings()).logged["consistency_gap"])
    assert gaps == pytest.approx([1 / 2, math.sqrt(1 / 40), 1 / 20])


def test_no_gradient_flows_through_the_target_of_consistency() -> None:
    frozen, moved = (torch.ones((), dtype=torch.float64, requires_grad=True) for _ in range(2))
    given = step(
        teacher=lambda x, _: frozen * x, average=lambda x, _: frozen * x,
        student=lambda x, _: 2 * moved * x,
    )  # fmt: skip
    loss("consistency", given).backward()
    assert frozen.grad is None
    assert moved.grad is not None
    assert not zero(moved.grad)


# --- what the demonstrations determine ------------------------------------------------------------


def best_constant(name: str, actions: Tensor) -> float:
    """The action that the objective's best student steps to, if it must be one for all noise."""
    z1 = noise(len(actions), 1, 1)
    candidates = torch.linspace(-3, 3, 61, dtype=torch.float64)
    losses = []
    for action in candidates:
        student = lambda x, _, action=action: x - action  # noqa: E731 - a velocity of one line
        given = step(
            actions[:, None, None], z1_BTA=z1, time_B=torch.ones(len(actions)), student=student
        )
        losses.append(loss(name, given).item())
    return float(candidates[losses.index(min(losses))])


def test_regression_goes_to_the_median_and_flow_matching_to_the_mean() -> None:
    actions = torch.tensor([-1.0, -1.0, -1.0, 2.0, 2.0], dtype=torch.float64)
    assert best_constant("regression", actions) == pytest.approx(-1)
    assert best_constant("flow", actions) == pytest.approx(0.2)


@pytest.mark.parametrize("reduction", ["mean", "none"])
def test_regression_is_the_mean_absolute_error_with_lerobots_masks(reduction: str) -> None:
    is_pad = torch.zeros(ROWS, CHUNK, dtype=torch.bool)
    is_pad[0, 1:] = True
    given = step(student=lambda x, _: x, is_pad=is_pad, reduction=reduction)
    torch.testing.assert_close(
        loss("regression", given).mean(), torch.tensor(POINT, dtype=torch.float64)
    )


def test_flow_matching_is_zero_on_straight_paths_to_the_demonstration() -> None:
    assert zero(loss("flow", step(student=to_point)))


# --- sets of actions ------------------------------------------------------------------------------


def test_imle_counts_and_moves_only_the_nearest_of_each_row() -> None:
    velocity = torch.zeros(6 * ROWS, CHUNK, DIMS, dtype=torch.float64, requires_grad=True)
    given = step(student=lambda *_: velocity)
    z = samples._noise(step(), 6)
    error = (z - POINT).square().mean((2, 3))
    value = loss("imle", given)
    torch.testing.assert_close(value, error.min(dim=0).values.mean())
    value.backward()
    assert velocity.grad is not None
    moved = velocity.grad.unflatten(0, (6, ROWS)).abs().sum((2, 3)) > 0
    assert torch.equal(moved, error == error.min(dim=0).values)


def test_imle_is_zero_when_every_mode_has_a_generated_action_and_regression_is_not() -> None:
    modes = torch.tensor([-1.0, 1.0], dtype=torch.float64)[:, None, None, None]
    positives = modes.expand(2, ROWS, 1, 1)
    sign = lambda x, _: x - x.sign()  # noqa: E731 - a velocity of one line
    given = step(
        z1_BTA=noise(ROWS, 1, 1), stored_PBTA=positives, student=sign, generator=generator(3)
    )
    assert zero(loss("imle", given, samples=16, positives="teacher", pairs_path="pairs"))
    assert loss("regression", step(1.0, z1_BTA=noise(ROWS, 1, 1), student=sign)) > 0.1


def test_positives_are_the_teachers_end_points_or_the_demonstration() -> None:
    demonstrated, counts = samples.positives(step(), settings())
    assert demonstrated.shape == (1, ROWS, CHUNK, DIMS)
    assert (demonstrated == POINT).all()
    assert counts.sum() == ROWS * CHUNK * DIMS
    solved, _ = samples.positives(step(teacher=linear), settings(positives="teacher"))
    torch.testing.assert_close(solved, LEFT**FINE * samples._noise(step(), 6))


def test_padding_is_no_part_of_a_demonstration() -> None:
    is_pad = torch.zeros(ROWS, CHUNK, dtype=torch.bool)
    is_pad[:, 1:] = True
    far = torch.full((ROWS, CHUNK, DIMS), 9.0, dtype=torch.float64)
    far[:, 0] = POINT
    for name in ("imle", "drift"):
        values = [
            loss(name, step(actions, is_pad, student=lambda x, _: 0.5 * x))
            for actions in (far, torch.full_like(far, POINT))
        ]
        torch.testing.assert_close(*values)


def forces(x: Tensor, positives: Tensor) -> Tensor:
    return torch.stack([drift.force(x, positives, one) for one in drift.TEMPERATURES]).sum(0)


def test_the_force_vanishes_in_expectation_where_the_distributions_coincide() -> None:
    rows, probe = 4_000, 0.7
    x, positives = noise(rows, 8, 1, seed=1), noise(rows, 7, 1, seed=2)
    x[:, 0] = probe
    same, shifted = (forces(x, positives + shift)[:, 0].mean().item() for shift in (0, 1))
    assert abs(same) < 0.1 * abs(shifted)
    assert shifted > 0


def test_the_force_attracts_to_a_positive_and_repels_from_a_sibling() -> None:
    x = torch.tensor([[[0.0], [0.1]]], dtype=torch.float64)
    left, right = forces(x, torch.tensor([[[0.3]]], dtype=torch.float64))[0, :, 0].tolist()
    assert right > 0
    assert left > 0
    alone = forces(x, torch.tensor([[[0.05]]], dtype=torch.float64))[0, :, 0]
    assert alone[0] < 0 < alone[1]  # both are as near to it: they part


def test_the_field_follows_rotations_translations_scale_and_order() -> None:
    x, positives, counts = noise(2, 6, 3, seed=1), noise(2, 4, 3, seed=2), torch.ones(2, 1, 3)
    plain = drift.field(x, positives, counts)
    turn = torch.linalg.qr(noise(3, 3, seed=3)).Q
    order = torch.tensor([3, 1, 0, 5, 4, 2])
    torch.testing.assert_close(drift.field(x + 5, positives + 5, counts), plain)
    torch.testing.assert_close(drift.field(x * 7, positives * 7, counts), plain)
    torch.testing.assert_close(drift.field(x @ turn, positives @ turn, counts), plain @ turn)
    torch.testing.assert_close(drift.field(x[:, order], positives, counts), plain[:, order])
    torch.testing.assert_close(drift.field(x, positives.flip(1), counts), plain)


def test_a_step_against_the_gradient_of_drift_moves_along_the_field() -> None:
    velocity = torch.zeros(6 * ROWS, CHUNK, DIMS, dtype=torch.float64, requires_grad=True)
    loss("drift", step(student=lambda *_: velocity)).backward()
    assert velocity.grad is not None
    x = samples._noise(step(), 6).movedim(0, 1).flatten(2)
    field = drift.field(
        x, torch.full((ROWS, 1, CHUNK * DIMS), POINT), torch.ones(ROWS, CHUNK, DIMS)
    )
    # x = z - velocity: the gradient with respect to x has the other sign.
    moved = velocity.grad.unflatten(0, (6, ROWS)).movedim(0, 1).flatten(2)
    cosine = torch.nn.functional.cosine_similarity(moved, field, dim=-1)
    torch.testing.assert_close(cosine, torch.ones_like(cosine))


# --- all of them ----------------------------------------------------------------------------------


@pytest.mark.parametrize("name", OBJECTIVES)
def test_the_mean_is_that_of_the_rows_losses(name: str) -> None:
    def of(reduction: str) -> Tensor:
        given = step(
            teacher=linear, student=lambda x, _: 0.4 * x, average=linear, reduction=reduction
        )
        return loss(name, given)

    assert of("none").shape == (ROWS,)
    torch.testing.assert_close(of("none").mean(), of("mean"))


@pytest.mark.parametrize("name", OBJECTIVES)
def test_the_stated_cost_is_the_number_of_passes(name: str) -> None:
    passes = {"teacher": 0, "student": 0, "average": 0}

    def counted(whose: str) -> flow.Velocity:
        def velocity(x: Tensor, time: Tensor) -> Tensor:
            assert len(x) == len(time)
            passes[whose] += len(x) // ROWS
            return 0.5 * x

        return velocity

    for source in samples.POSITIVES:
        passes.update(dict.fromkeys(passes, 0))
        loss(name, step(**{whose: counted(whose) for whose in passes}), positives=source)
        stated = OBJECTIVES[name].cost(settings(positives=source))
        assert passes == stated._asdict()
