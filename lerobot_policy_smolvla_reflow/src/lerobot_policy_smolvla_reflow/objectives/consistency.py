"""Consistency distillation: every point of a teacher's path is sent to the same action.

    E |f(x_t, t) - f_average(x_s, s)|^2,  f(x, t) = x - t v(x, t),
    x_t = t z + (1 - t) a,  x_s = x_t - (t - s) v_T(x_t, t),  s = max(t - gap, 0)

a is a demonstration, and the target's velocity is that of the moving average of the student's
weights. f(x, 0) = x holds by construction, so the minimiser's f(z, 1), which is one Euler step, is
the end of the teacher's path. The gap falls from 1/2 to 1/20 over the run: large gaps carry the
action to the noise quickly, small ones follow the teacher closely. Source: Consistency Models,
arXiv 2303.01469, algorithm 2, for a straight path between noise and data.
"""

from __future__ import annotations

import torch

from lerobot_policy_smolvla_reflow import flow
from lerobot_policy_smolvla_reflow.objectives.reduction import batch_loss
from lerobot_policy_smolvla_reflow.objectives.step import Cost, Loss, Objective, Settings, Step

FIRST_GAP, LAST_GAP = 1 / 2, 1 / 20
FIELDS = ("time_sampling", "endpoint_mass", "loss", "anneal_steps")


def consistency(step: Step, settings: Settings) -> Loss:
    """The loss, and the gap of this step."""
    gap = FIRST_GAP * (LAST_GAP / FIRST_GAP) ** step.progress
    time_B = step.time_B
    earlier_B = (time_B - gap).clamp_min(0)
    x_BTA = flow.interpolate(step.demonstrations.actions_BTA, step.z1_BTA, time_B)
    with torch.no_grad():
        drop_B11 = (time_B - earlier_B)[:, None, None]
        x_earlier_BTA = x_BTA - drop_B11 * step.teacher(x_BTA, time_B)
        target_BTA = x_earlier_BTA - earlier_B[:, None, None] * step.average(
            x_earlier_BTA, earlier_B
        )
    f_BTA = x_BTA - time_B[:, None, None] * step.student(x_BTA, time_B)
    error_BTA, none_B = (f_BTA - target_BTA).square(), torch.zeros_like(step.real_B)
    value = batch_loss(settings.loss, error_BTA, none_B, step.demonstrations, step.reduction)
    return Loss(value, {"consistency_gap": gap})


OBJECTIVE = Objective(
    loss=consistency,
    cost=lambda _: Cost(teacher=1, student=1, average=1),
    fields=lambda _: FIELDS,
    average_decay=0.95,
)
