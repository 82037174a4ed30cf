"""Flow matching on the demonstrations, at times near noise. A baseline without a teacher.

    E |v(x_t, t) - (z - a)|^2,  x_t = t z + (1 - t) a,  a = demonstration

What the teacher was trained with, at times as reflow's. At t = 1 its minimiser steps from any noise
to the mean of the demonstrated actions. Source: Flow Matching, arXiv 2210.02747.
"""

from __future__ import annotations

from lerobot_policy_smolvla_reflow import flow
from lerobot_policy_smolvla_reflow.objectives.reduction import demonstration_loss
from lerobot_policy_smolvla_reflow.objectives.step import Cost, Loss, Objective, Settings, Step

FIELDS = ("time_sampling", "endpoint_mass")


def flow_matching(step: Step, settings: Settings) -> Loss:  # noqa: ARG001 - times are drawn already
    """The loss, which is LeRobot's own."""
    actions_BTA = step.demonstrations.actions_BTA
    x_BTA = flow.interpolate(actions_BTA, step.z1_BTA, step.time_B)
    target_BTA = flow.straight_velocity(actions_BTA, step.z1_BTA)
    error_BTA = (target_BTA - step.student(x_BTA, step.time_B)).square()
    return Loss(demonstration_loss(error_BTA, step.demonstrations, step.reduction), {})


OBJECTIVE = Objective(
    loss=flow_matching, cost=lambda _: Cost(teacher=0, student=1), fields=lambda _: FIELDS
)
