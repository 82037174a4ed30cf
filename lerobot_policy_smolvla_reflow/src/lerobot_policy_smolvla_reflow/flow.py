"""The mathematics of reflow: path, time sampling, ODE solver, losses, straightness.

Only torch; no model, no config, no I/O. LeRobot's convention throughout: t = 1 is noise, t = 0 is
the action, x_t = t * z1 + (1 - t) * z0, and the velocity of that straight path is dx/dt = z1 - z0.
Shape suffixes: B batch, T chunk steps, A action dimensions (all `max_action_dim` of them), K solver
steps. Actions are in normalized units, time has none.

Sources: Rectified Flow, arXiv 2209.03003 (RF); Improving the Training of Rectified Flows, arXiv
2405.20320 (2-RF++).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor

Velocity = Callable[[Tensor, Tensor], Tensor]  # (x_BTA, time_B) -> velocity_BTA

SOLVERS = ("euler", "heun")
TIME_SAMPLINGS = ("endpoint_mixture", "uniform", "beta", "u_shaped")

U_SHAPE_STEEPNESS = 4.0  # `a` in 2-RF++, section 4.1
PSEUDO_HUBER_SCALE = 0.00054  # c / d in 2-RF++, section 4.2
BETA_EXPONENT = 1.5  # SmolVLA draws t from Beta(1.5, 1) * 0.999 + 0.001
BETA_SCALE, BETA_OFFSET = 0.999, 0.001


class Solution(NamedTuple):
    """The end point z0_BTA of a solved ODE; the velocity and the point at each step's start."""

    z0_BTA: Tensor
    velocity_KBTA: Tensor
    x_KBTA: Tensor


def interpolate(z0_BTA: Tensor, z1_BTA: Tensor, time_B: Tensor) -> Tensor:
    """The point x_BTA at `time_B` on the straight path from z0 to z1, exact at both ends.

    RF, equation 1.
    """
    time_B11 = time_B[:, None, None]
    return time_B11 * z1_BTA + (1 - time_B11) * z0_BTA


def straight_velocity(z0_BTA: Tensor, z1_BTA: Tensor) -> Tensor:
    """The velocity z1 - z0 of the straight path, constant in time: the student's target.

    RF, equation 1.
    """
    return z1_BTA - z0_BTA


def sample_time(
    sampling: str, batch: int, generator: torch.Generator, *, endpoint_mass: float = 0.5
) -> Tensor:
    """Sample times time_B in [0, 1], F32, on the generator's device.

    `uniform`: U(0, 1), RF. `beta`: Beta(1.5, 1) * 0.999 + 0.001, as SmolVLA trains. `u_shaped`:
    density proportional to e^(at) + e^(a(1-t)) with a = 4, 2-RF++. `endpoint_mixture`: exactly 1
    with probability `endpoint_mass`, else uniform, since a one-step student is only evaluated at
    t = 1. Raises ValueError for another name.
    """
    uniform_B = torch.rand(batch, generator=generator, device=generator.device)
    if sampling == "uniform":
        return uniform_B
    if sampling == "beta":
        # The inverse of Beta(a, 1)'s distribution function t^a; torch's Beta takes no generator.
        return uniform_B.pow(1 / BETA_EXPONENT) * BETA_SCALE + BETA_OFFSET
    coin_B = torch.rand(batch, generator=generator, device=generator.device)
    if sampling == "u_shaped":
        rising_B = torch.log1p(uniform_B * math.expm1(U_SHAPE_STEEPNESS)) / U_SHAPE_STEEPNESS
        return torch.where(coin_B < 0.5, rising_B, 1 - rising_B)
    if sampling == "endpoint_mixture":
        return torch.where(coin_B < endpoint_mass, torch.ones_like(uniform_B), uniform_B)
    raise ValueError(f"unknown time sampling {sampling!r}; one of {', '.join(TIME_SAMPLINGS)}")


def solve(velocity: Velocity, z1_BTA: Tensor, steps: int, solver: str = "euler") -> Solution:
    """Solve the ODE dx/dt = velocity(x, t) from t = 1 at z1 down to t = 0 in equal steps.

    `euler` evaluates the velocity `steps` times and matches LeRobot's sampling loop bit for bit.
    `heun` (the explicit trapezoid rule) evaluates it 2 * steps times. Raises ValueError for another
    solver.
    """
    if solver not in SOLVERS:
        raise ValueError(f"unknown solver {solver!r}; one of {', '.join(SOLVERS)}")
    dt = -1.0 / steps
    x_BTA, velocities, points = z1_BTA, [], []
    for step in range(steps):
        points.append(x_BTA)
        v_BTA = velocity(x_BTA, _time(1.0 + step * dt, z1_BTA))
        velocities.append(v_BTA)
        if solver == "heun":
            # The last step ends at t = 0 up to rounding; clamping keeps the time inside [0, 1].
            end_BTA = velocity(x_BTA + dt * v_BTA, _time(max(1.0 + (step + 1) * dt, 0.0), z1_BTA))
            v_BTA = (v_BTA + end_BTA) / 2
        x_BTA = x_BTA + dt * v_BTA
    return Solution(x_BTA, torch.stack(velocities), torch.stack(points))


def evaluations(steps: int, solver: str) -> int:
    """How often `solve` evaluates the velocity."""
    return 2 * steps if solver == "heun" else steps


def _time(value: float, like_BTA: Tensor) -> Tensor:
    return torch.tensor(value, dtype=torch.float32, device=like_BTA.device).expand(
        like_BTA.shape[0]
    )


def straightness(z1_BTA: Tensor, solution: Solution) -> Tensor:
    """S = E ||(z1 - z0) - v||^2 over the solver's steps, per element: 0 on a straight path.

    A scalar, squared units. RF, equation 7. z0 is the solution's own end point: this measures the
    curvature of the model's path, not its error.
    """
    return (straight_velocity(solution.z0_BTA, z1_BTA) - solution.velocity_KBTA).square().mean()


def mse(squared_error_BTA: Tensor) -> Tensor:
    """The mean squared error per sample, loss_B. Squared action units. RF, equation 1."""
    return squared_error_BTA.mean(dim=(1, 2))


def pseudo_huber(squared_error_BTA: Tensor) -> Tensor:
    """sqrt(||error||^2 + c^2) - c per sample, loss_B, with c = 0.00054 d for d = T * A.

    Action units. 2-RF++, section 4.2.
    """
    c = PSEUDO_HUBER_SCALE * squared_error_BTA[0].numel()
    return (squared_error_BTA.sum(dim=(1, 2)) + c * c).sqrt() - c


LOSSES: dict[str, Callable[[Tensor], Tensor]] = {"mse": mse, "pseudo_huber": pseudo_huber}
