"""Reflow: straight paths between noise and the teacher's action for it.

    E |v(x_t, t) - (z - a)|^2,  x_t = t z + (1 - t) a,  a = the end of the teacher's ODE from z

Source: Rectified Flow, arXiv 2209.03003, equation 1. Its minimiser at t = 1 steps from z to a. A
share of the rows can be flow matching on the dataset's actions instead.
"""

from __future__ import annotations

import torch
from torch import Tensor

from lerobot_policy_smolvla_reflow import flow
from lerobot_policy_smolvla_reflow.objectives.reduction import batch_loss
from lerobot_policy_smolvla_reflow.objectives.step import Cost, Loss, Objective, Settings, Step

FIELDS = (
    "teacher_num_steps", "solver", "time_sampling", "endpoint_mass", "loss", "mix_real_data",
    "real_time_sampling", "pairs_path", "straightness_freq",
)  # fmt: skip


def reflow(step: Step, settings: Settings) -> Loss:
    """The loss, and the straightness of the teacher's paths where they were solved."""
    z0_BTA, logged = _end_points(step, settings)
    if settings.mix_real_data:
        z0_BTA = torch.where(step.real_B[:, None, None], step.demonstrations.actions_BTA, z0_BTA)
    target_BTA = flow.straight_velocity(z0_BTA, step.z1_BTA)
    predicted_BTA = step.student(flow.interpolate(z0_BTA, step.z1_BTA, step.time_B), step.time_B)
    error_BTA = (target_BTA - predicted_BTA).square()
    value = batch_loss(settings.loss, error_BTA, step.real_B, step.demonstrations, step.reduction)
    return Loss(value, logged)


def _end_points(step: Step, settings: Settings) -> tuple[Tensor, dict[str, float]]:
    if step.stored_PBTA is not None:
        return step.stored_PBTA[0], {}
    if not cost(settings).teacher:  # every row gets real actions
        return torch.zeros_like(step.z1_BTA), {}
    solution = flow.solve(step.teacher, step.z1_BTA, settings.teacher_num_steps, settings.solver)
    return solution.z0_BTA, {
        "straightness_teacher": flow.straightness(step.z1_BTA, solution).item()
    }


def cost(settings: Settings) -> Cost:
    """No teacher pass with stored pairs, or when all rows are real data."""
    unneeded = settings.pairs_path or settings.mix_real_data == 1
    solved = flow.evaluations(settings.teacher_num_steps, settings.solver)
    return Cost(teacher=0 if unneeded else solved, student=1)


OBJECTIVE = Objective(loss=reflow, cost=cost, fields=lambda _: FIELDS, steps=lambda _: None)
