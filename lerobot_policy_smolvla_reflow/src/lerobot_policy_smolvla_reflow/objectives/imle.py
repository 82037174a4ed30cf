"""IMLE: of several generated actions, only the nearest to a positive action moves towards it.

    E_p min_g |x_g - a_p|^2,  x_g = z_g - v(z_g, 1),  g = 1..G

Every positive has some generated action near it, so no mode is missed, and none is averaged with
another. Source: Implicit Maximum Likelihood Estimation, arXiv 1809.09087, per observation.
"""

from __future__ import annotations

from lerobot_policy_smolvla_reflow.objectives import samples
from lerobot_policy_smolvla_reflow.objectives.step import Loss, Objective, Settings, Step


def imle(step: Step, settings: Settings) -> Loss:
    """The loss: the mean squared error of the best of G, over the positives."""
    positives_PBTA, counts_BTA = samples.positives(step, settings)
    generated_GBTA = samples.generate(step, settings)
    error_GPBTA = (generated_GBTA[:, None] - positives_PBTA[None]).square() * counts_BTA
    error_GPB = error_GPBTA.sum((-2, -1)) / counts_BTA.sum((1, 2)).clamp_min(1)
    loss_B = error_GPB.min(dim=0).values.mean(dim=0)
    return Loss(loss_B if step.reduction == "none" else loss_B.mean(), {})


OBJECTIVE = Objective(loss=imle, cost=samples.cost, fields=samples.fields, stored="end points")
