"""The mathematics, against cases whose answer is known in closed form."""

from __future__ import annotations

import math
import re
from functools import partial
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from lerobot.policies.common.flow_matching import euler_integrate
from torch import Tensor

from lerobot_policy_smolvla_reflow import flow

POINT, MODES = 0.7, 2.0
FEW_STEPS = Path(__file__).parents[2] / "docs/few-steps.md"


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def noise(rows: int = 256) -> Tensor:
    return torch.randn(rows, 1, 1, generator=generator())


def gaussian_to_point(x: Tensor, time: Tensor) -> Tensor:
    """E[z1 - z0 | x_t = x] when every z0 is POINT: the paths are straight lines."""
    return (x - POINT) / time[:, None, None]


def gaussian_to_two_modes(x: Tensor, time: Tensor, modes: float = MODES) -> Tensor:
    """E[z1 - z0 | x_t = x] when z0 is `modes` or -`modes` with equal chance: the paths bend."""
    t = time[:, None, None].clamp_min(1e-4)
    expected_z0 = modes * torch.tanh((1 - t) * modes * x / t**2)
    return (x - expected_z0) / t


@given(st.integers(0, 2**32))
def test_the_path_ends_exactly_at_noise_and_action(seed: int) -> None:
    z0, z1 = torch.randn(2, 3, 4, 5, generator=generator(seed)).unbind()
    assert torch.equal(flow.interpolate(z0, z1, torch.zeros(3)), z0)
    assert torch.equal(flow.interpolate(z0, z1, torch.ones(3)), z1)


def test_the_path_has_the_straight_velocity() -> None:
    z0, z1 = torch.randn(2, 3, 4, 5, generator=generator(), dtype=torch.float64).unbind()
    early, late = (
        flow.interpolate(z0, z1, torch.full((3,), t, dtype=torch.float64)) for t in (0.25, 0.75)
    )
    torch.testing.assert_close((late - early) / 0.5, flow.straight_velocity(z0, z1))


@pytest.mark.parametrize("solver", flow.SOLVERS)
@pytest.mark.parametrize("steps", [1, 3])
def test_a_straight_field_is_solved_exactly_in_one_step(solver: str, steps: int) -> None:
    solution = flow.solve(lambda x, _: torch.full_like(x, 3.0), noise(), steps, solver)
    torch.testing.assert_close(solution.z0_BTA, noise() - 3.0)
    assert flow.straightness(noise(), solution) < 1e-10


def test_gaussian_to_point_needs_one_step() -> None:
    solution = flow.solve(gaussian_to_point, noise(), 1)
    torch.testing.assert_close(solution.z0_BTA, torch.full_like(noise(), POINT))


def test_two_modes_need_many_steps_and_one_step_lands_between_them() -> None:
    one, many = (flow.solve(gaussian_to_two_modes, noise(), steps).z0_BTA for steps in (1, 200))
    torch.testing.assert_close(one, torch.zeros_like(one), atol=1e-5, rtol=0)
    assert (many.abs() - MODES).abs().mean() < 0.05
    assert torch.equal(many.sign(), noise().sign())


def test_the_documented_shares_between_two_modes_are_those_of_the_solver() -> None:
    head, *_ = re.findall(r"^\| d \|(.+)\|$", FEW_STEPS.read_text(), re.MULTILINE)
    rows = re.findall(r"^\| (\d+) \|((?: [\d.]+ % \|)+)$", FEW_STEPS.read_text(), re.MULTILINE)
    columns = [int(number) for number in re.findall(r"\d+", head)]
    quantiles = (torch.arange(100_000, dtype=torch.float64) + 0.5) / 100_000
    every_noise = torch.special.ndtri(quantiles)[:, None, None]
    assert len(rows) == 4
    for distance, shares in ((float(name), text.split("|")[:-1]) for name, text in rows):
        velocity = partial(gaussian_to_two_modes, modes=distance / 2)
        for steps, share in zip(columns, shares, strict=True):
            ends = flow.solve(velocity, every_noise, steps).z0_BTA.abs()
            between = (distance / 2 - ends > distance / 10).double().mean()
            assert f" {100 * between:.1f} % " == share, (distance, steps)


def test_reflow_of_two_modes_is_right_in_one_step() -> None:
    z1, z0 = noise(), MODES * noise().sign()  # the coupling that the two-mode ODE makes
    # At t = 1 the noise is known, so this is the regression's optimum.
    velocity_at_noise = flow.straight_velocity(z0, z1)
    solution = flow.solve(lambda _x, _t: velocity_at_noise, z1, 1)
    torch.testing.assert_close(solution.z0_BTA, z0)


def test_curved_paths_are_less_straight() -> None:
    assert flow.straightness(noise(), flow.solve(gaussian_to_two_modes, noise(), 20)) > 0.1
    assert flow.straightness(noise(), flow.solve(gaussian_to_point, noise(), 20)) < 1e-8


def test_euler_is_lerobots_sampling_loop_bit_for_bit() -> None:
    for steps in (1, 3, 7, 10):
        expected = euler_integrate(gaussian_to_two_modes, noise(), steps)
        assert torch.equal(flow.solve(gaussian_to_two_modes, noise(), steps).z0_BTA, expected)


def test_heun_converges_faster_than_euler() -> None:
    exact = noise() * math.exp(-1)
    errors = {
        (solver, steps): (flow.solve(lambda x, _: x, noise(), steps, solver).z0_BTA - exact)
        .abs()
        .mean()
        for solver in flow.SOLVERS
        for steps in (10, 20)
    }
    assert errors["heun", 10] < errors["euler", 10] / 10
    assert errors["euler", 10] / errors["euler", 20] == pytest.approx(2, rel=0.1)
    assert errors["heun", 10] / errors["heun", 20] == pytest.approx(4, rel=0.15)


def test_heun_evaluates_only_times_in_the_unit_interval() -> None:
    times: list[float] = []

    def velocity(x: torch.Tensor, time: torch.Tensor) -> torch.Tensor:
        times.append(float(time[0]))
        return x

    flow.solve(velocity, noise(), 7, "heun")
    assert min(times) >= 0
    assert max(times) == 1


@pytest.mark.parametrize("sampling", flow.TIME_SAMPLINGS)
def test_times_lie_in_the_unit_interval_and_repeat_with_the_seed(sampling: str) -> None:
    time = flow.sample_time(sampling, 20_000, generator(3))
    assert 0 <= time.min() <= time.max() <= 1
    assert torch.equal(time, flow.sample_time(sampling, 20_000, generator(3)))


def test_time_samplings_have_their_distributions() -> None:
    uniform, beta, u_shaped, mixture = (
        flow.sample_time(name, 200_000, generator(), endpoint_mass=0.3)
        for name in ("uniform", "beta", "u_shaped", "endpoint_mixture")
    )
    assert uniform.mean() == pytest.approx(0.5, abs=0.005)
    assert beta.mean() == pytest.approx(0.6 * 0.999 + 0.001, abs=0.005)  # Beta(1.5, 1) has mean 0.6
    # And variance 1.5 / (2.5^2 * 3.5).
    assert beta.var() == pytest.approx(0.0686 * 0.999**2, abs=0.003)
    a = flow.U_SHAPE_STEEPNESS
    below_tenth = (math.expm1(0.1 * a) + math.exp(a) - math.exp(0.9 * a)) / (2 * math.expm1(a))
    assert (u_shaped < 0.1).float().mean() == pytest.approx(below_tenth, abs=0.005)
    assert (u_shaped > 0.9).float().mean() == pytest.approx(below_tenth, abs=0.005)
    assert (mixture == 1).float().mean() == pytest.approx(0.3, abs=0.005)
    assert mixture[mixture < 1].mean() == pytest.approx(0.5, abs=0.005)


def test_losses_have_their_formulas() -> None:
    error = torch.tensor([[[3.0, 4.0]], [[0.0, 0.0]]])
    torch.testing.assert_close(flow.mse(error.square()), torch.tensor([12.5, 0.0]))
    c = 0.00054 * 2
    torch.testing.assert_close(
        flow.pseudo_huber(error.square()), torch.tensor([math.sqrt(25 + c * c) - c, 0.0])
    )


def test_pseudo_huber_has_a_gradient_at_zero_error() -> None:
    error = torch.zeros(1, 2, 2, requires_grad=True)
    flow.pseudo_huber(error.square()).sum().backward()
    assert error.grad is not None
    assert torch.isfinite(error.grad).all()


@pytest.mark.parametrize(
    ("call", "word"),
    [
        (lambda: flow.solve(gaussian_to_point, noise(), 1, "rk4"), "rk4"),
        (lambda: flow.sample_time("cosine", 1, generator()), "cosine"),
    ],
)
def test_an_unknown_name_is_named_with_the_known_ones(call: object, word: str) -> None:
    with pytest.raises(ValueError, match=f"unknown .*'{word}'; one of "):
        call()  # type: ignore[operator]
