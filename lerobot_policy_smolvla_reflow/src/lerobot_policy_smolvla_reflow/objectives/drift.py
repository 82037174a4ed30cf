"""Drift: generated actions move along a field of attraction and repulsion until it balances.

    E |x_g / s - stop(x_g / s + V_g)|^2,  x_g = z_g - v(z_g, 1),  g = 1..G, for one observation

V attracts to the positives and repels from the other generated actions, its siblings. With
distances d divided by their mean, and affinities A = sqrt(softmax_rows(-d / R) softmax_columns(-d /
R)) of each x_g to [siblings, positives],

    V = sum over R in (0.02, 0.05, 0.2) of F_R / rms(F_R),
    F_R(g) = sum_j sum_p A_gj A_gp (positive_p - sibling_j)

which vanishes in expectation where generated actions and positives have one distribution. s is the
mean distance divided by sqrt(elements of a chunk). Source: Generative Modeling via Drifting, arXiv
2602.04770, and Drifting Policy's port of its loss. Distances are between whole chunks: a port for
SmolVLA takes one action dimension at a time, which lets dimensions choose different ways.
"""

from __future__ import annotations

import torch
from torch import Tensor

from lerobot_policy_smolvla_reflow.objectives import samples
from lerobot_policy_smolvla_reflow.objectives.step import Loss, Objective, Settings, Step

TEMPERATURES = (0.02, 0.05, 0.2)
SELF = 100.0  # a distance at which no softmax gives a sample weight: a sample is no sibling
SMALLEST_SCALE, SMALLEST_AFFINITY, SMALLEST_FORCE = 1e-3, 1e-6, 1e-8


def drift(step: Step, settings: Settings) -> Loss:
    """The loss: the mean squared drift, whose gradient moves the student along it."""
    positives_PBTA, counts_BTA = samples.positives(step, settings)
    generated_GBTA = samples.generate(step, settings)
    x_BGS, positive_BPS = (
        (some * counts_BTA).movedim(0, 1).flatten(2) for some in (generated_GBTA, positives_PBTA)
    )
    with torch.no_grad():
        scale_B = mean_distance(x_BGS, positive_BPS) / counts_BTA.sum((1, 2)).clamp_min(1).sqrt()
        moved_BGS = x_BGS / scale_B[:, None, None] + field(x_BGS, positive_BPS, counts_BTA)
    error_BGS = (x_BGS / scale_B[:, None, None] - moved_BGS).square()
    counted_B = counts_BTA.sum((1, 2)).clamp_min(1) * settings.samples
    loss_B = error_BGS.sum((1, 2)) / counted_B
    return Loss(loss_B if step.reduction == "none" else loss_B.mean(), {})


def mean_distance(x_BGS: Tensor, positive_BPS: Tensor) -> Tensor:
    """The mean distance of generated actions to siblings, themselves and positives, per row."""
    distance_BGN = torch.cdist(x_BGS, torch.cat([x_BGS, positive_BPS], dim=1))
    return distance_BGN.mean((1, 2)).clamp_min(SMALLEST_SCALE)


def field(x_BGS: Tensor, positive_BPS: Tensor, counts_BTA: Tensor) -> Tensor:
    """V of every generated action, in units of s: the forces of all temperatures, each of rms 1."""
    counted = counts_BTA.sum() * x_BGS.shape[1]
    forces = [force(x_BGS, positive_BPS, temperature) for temperature in TEMPERATURES]
    return torch.stack(
        [one / (one.square().sum() / counted).clamp_min(SMALLEST_FORCE).sqrt() for one in forces]
    ).sum(0)


def force(x_BGS: Tensor, positive_BPS: Tensor, temperature: float) -> Tensor:
    """F_R of every generated action, in units of the mean distance."""
    targets_BNS, siblings = torch.cat([x_BGS, positive_BPS], dim=1), x_BGS.shape[1]
    scale_B11 = mean_distance(x_BGS, positive_BPS)[:, None, None]
    distance_BGN = torch.cdist(x_BGS, targets_BNS) / scale_B11
    own_GG = torch.eye(siblings, device=x_BGS.device)
    distance_BGN[:, :, :siblings] += SELF * own_GG
    logits_BGN = -distance_BGN / temperature
    affinity_BGN = (
        (logits_BGN.softmax(-1) * logits_BGN.softmax(-2)).clamp_min(SMALLEST_AFFINITY).sqrt()
    )
    to_siblings_BGG = affinity_BGN[:, :, :siblings]
    to_positives_BGP = affinity_BGN[:, :, siblings:]
    weight_BGN = torch.cat(
        [
            -to_siblings_BGG * to_positives_BGP.sum(-1, keepdim=True),
            to_positives_BGP * to_siblings_BGG.sum(-1, keepdim=True),
        ],
        dim=-1,
    )
    return weight_BGN @ (targets_BNS / scale_B11)


OBJECTIVE = Objective(loss=drift, cost=samples.cost, fields=samples.fields, stored="end points")
