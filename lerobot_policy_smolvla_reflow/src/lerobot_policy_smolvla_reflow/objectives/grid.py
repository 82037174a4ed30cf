"""Grid: the chords of the teacher's own path, at the k points where the stock sampler evaluates.

    E |v(x_t, t) - k (x_t - x_{t - 1/k})|^2,  t in {1, 1 - 1/k, ..., 1/k},  x = the teacher's path

Its minimiser takes k Euler steps exactly along the teacher's path, however bent. In the last of
them, only the robot's own dimensions count. k = 1 is distillation of the end point. Source: the
distillation step of Rectified Flow, arXiv 2209.03003, section 2.2, for k sampling steps.
"""

from __future__ import annotations

import torch
from torch import Tensor

from lerobot_policy_smolvla_reflow import flow
from lerobot_policy_smolvla_reflow.objectives.reduction import batch_loss, without_padding
from lerobot_policy_smolvla_reflow.objectives.step import Cost, Loss, Objective, Settings, Step

FIELDS = ("grid_steps", "teacher_num_steps", "solver", "loss", "pairs_path")


def grid(step: Step, settings: Settings) -> Loss:
    """The loss, with one of the k steps drawn for each row."""
    k, rows = settings.grid_steps, len(step.z1_BTA)
    x_KBTA = _points(step, settings)
    drawn_B = torch.randint(k, (rows,), generator=step.generator, device=x_KBTA.device)
    row_B = torch.arange(rows, device=x_KBTA.device)
    start_BTA, end_BTA = x_KBTA[drawn_B, row_B], x_KBTA[drawn_B + 1, row_B]
    # The times of LeRobot's sampler, to the last bit.
    time_K = torch.tensor([1.0 + number * (-1.0 / k) for number in range(k)], device=x_KBTA.device)
    error_BTA = (k * (start_BTA - end_BTA) - step.student(start_BTA, time_K[drawn_B])).square()
    error_BTA = without_padding(error_BTA, drawn_B == k - 1, step.demonstrations.dims)
    none_B = torch.zeros_like(step.real_B)
    return Loss(
        batch_loss(settings.loss, error_BTA, none_B, step.demonstrations, step.reduction), {}
    )


def _points(step: Step, settings: Settings) -> Tensor:
    """The k + 1 points of the teacher's path, from noise to action."""
    if step.stored_PBTA is not None:
        return torch.stack([step.z1_BTA, step.stored_PBTA[0]])
    fine, k = settings.teacher_num_steps, settings.grid_steps
    solution = flow.solve(step.teacher, step.z1_BTA, fine, settings.solver)
    return torch.cat([solution.x_KBTA[:: fine // k], solution.z0_BTA[None]])


def cost(settings: Settings) -> Cost:
    """No teacher pass with stored pairs."""
    solved = flow.evaluations(settings.teacher_num_steps, settings.solver)
    return Cost(teacher=0 if settings.pairs_path else solved, student=1)


def conflict(settings: Settings) -> tuple[str, str] | None:
    """A path whose points are not those of the teacher's solver, or not stored."""
    if settings.grid_steps < 1 or settings.teacher_num_steps % settings.grid_steps:
        return "grid_steps", (
            f"must divide teacher_num_steps ({settings.teacher_num_steps}), so that the teacher's "
            f"path has these points; {settings.grid_steps} does not."
        )
    if settings.pairs_path and settings.grid_steps > 1:
        return "pairs_path", (
            "stored pairs hold the two ends of the teacher's path and no point between; remove "
            "pairs_path, or set grid_steps to 1."
        )
    return None


OBJECTIVE = Objective(
    loss=grid,
    cost=cost,
    fields=lambda _: FIELDS,
    steps=lambda settings: settings.grid_steps,
    conflict=conflict,
)
