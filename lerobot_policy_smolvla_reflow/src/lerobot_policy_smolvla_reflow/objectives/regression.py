"""Regression: one step from noise, to the demonstrated action. A baseline without a teacher.

    E |z - v(z, 1) - a|_1

Its minimiser is the median of the demonstrated actions, whatever the noise: between the modes where
there are several. Any few-step method has to beat it.
"""

from __future__ import annotations

from lerobot_policy_smolvla_reflow.objectives.reduction import demonstration_loss
from lerobot_policy_smolvla_reflow.objectives.step import Cost, Loss, Objective, Settings, Step


def regression(step: Step, settings: Settings) -> Loss:  # noqa: ARG001 - it has no settings
    """The loss: the mean absolute error."""
    action_BTA = step.z1_BTA - step.student(step.z1_BTA, step.at(1))
    error_BTA = (action_BTA - step.demonstrations.actions_BTA).abs()
    return Loss(demonstration_loss(error_BTA, step.demonstrations, step.reduction), {})


OBJECTIVE = Objective(
    loss=regression, cost=lambda _: Cost(teacher=0, student=1), fields=lambda _: ()
)
