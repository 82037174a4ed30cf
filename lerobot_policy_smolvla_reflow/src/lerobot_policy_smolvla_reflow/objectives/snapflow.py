"""SnapFlow with a frozen teacher: its two half steps at pure noise, flow matching elsewhere.

    alpha E |v(x_t, t) - (z - a)|^2 + (1 - alpha) lambda E |v(z, 1) - v*|^2,  a = demonstration,
    v* = (v_T(z, 1) + v_T(z - v_T(z, 1) / 2, 1/2)) / 2,  alpha = 0.5, lambda = 0.1

v* is the mean velocity of the teacher's path in two Euler steps, so one step of the minimiser ends
where two of the teacher's do. SnapFlow (Pi0.5, its alpha and lambda) trains without a separate
teacher and gives the network a second time for that; a frozen teacher needs none.
"""

from __future__ import annotations

import torch

from lerobot_policy_smolvla_reflow import flow
from lerobot_policy_smolvla_reflow.objectives.reduction import (
    batch_loss,
    demonstration_loss,
    without_padding,
)
from lerobot_policy_smolvla_reflow.objectives.step import Cost, Loss, Objective, Settings, Step

ALPHA, LAMBDA = 0.5, 0.1


def snapflow(step: Step, settings: Settings) -> Loss:  # noqa: ARG001 - it has no settings
    """The loss; both terms on every row, in one pass of twice the batch."""
    z1_BTA, actions_BTA = step.z1_BTA, step.demonstrations.actions_BTA
    time_B = flow.sample_time("beta", len(z1_BTA), step.generator)
    points = torch.cat([flow.interpolate(actions_BTA, z1_BTA, time_B), z1_BTA])
    elsewhere_BTA, at_noise_BTA = step.student(points, torch.cat([time_B, step.at(1)])).chunk(2)
    matching = demonstration_loss(
        (flow.straight_velocity(actions_BTA, z1_BTA) - elsewhere_BTA).square(),
        step.demonstrations,
        step.reduction,
    )
    two_steps_BTA = flow.solve(step.teacher, z1_BTA, 2).z0_BTA
    none_B, dims = torch.zeros_like(step.real_B), step.demonstrations.dims
    shortcut = batch_loss(
        "mse",
        without_padding((z1_BTA - two_steps_BTA - at_noise_BTA).square(), ~none_B, dims),
        none_B,
        step.demonstrations,
        step.reduction,
    )
    return Loss(ALPHA * matching + (1 - ALPHA) * LAMBDA * shortcut, {})


OBJECTIVE = Objective(loss=snapflow, cost=lambda _: Cost(teacher=2, student=2), fields=lambda _: ())
