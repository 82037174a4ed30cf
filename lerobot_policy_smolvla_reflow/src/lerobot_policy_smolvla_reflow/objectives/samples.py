"""Several actions per observation: the student's, and those that it should be like.

Shared by the objectives that compare sets of actions. One step from noise never shows the padded
dimensions to the network again, so these objectives count the robot's own only.
"""

from __future__ import annotations

import torch
from torch import Tensor

from lerobot_policy_smolvla_reflow import flow
from lerobot_policy_smolvla_reflow.objectives.step import Cost, Settings, Step

POSITIVES = ("demonstrations", "teacher")


def generate(step: Step, settings: Settings) -> Tensor:
    """The student's one-step actions x_GBTA = z - v(z, 1) from G noise samples, with gradient."""
    z_GBTA = _noise(step, settings.samples)
    z_NTA = z_GBTA.flatten(0, 1)
    x_NTA = z_NTA - step.student(z_NTA, step.at(1).repeat(settings.samples))
    return x_NTA.unflatten(0, z_GBTA.shape[:2])


def positives(step: Step, settings: Settings) -> tuple[Tensor, Tensor]:
    """The positive actions (P, B, T, A), and 1 where an element of (B, T, A) counts, else 0."""
    given = step.demonstrations
    counts_BTA = torch.zeros_like(step.z1_BTA)
    counts_BTA[:, :, : given.dims] = 1
    if settings.positives == "demonstrations":
        if given.is_pad_BT is not None:
            counts_BTA = counts_BTA * ~given.is_pad_BT[:, :, None]
        return given.actions_BTA[None], counts_BTA
    if step.stored_PBTA is not None:
        return step.stored_PBTA, counts_BTA
    z_GBTA = _noise(step, settings.samples)
    solution = flow.solve(
        step.teacher, z_GBTA.flatten(0, 1), settings.teacher_num_steps, settings.solver
    )
    return solution.z0_BTA.unflatten(0, z_GBTA.shape[:2]), counts_BTA


def _noise(step: Step, count: int) -> Tensor:
    """Noise (count, B, T, A): the step's own and more."""
    shape = (count - 1, *step.z1_BTA.shape)
    more = torch.randn(shape, generator=step.generator, device=step.z1_BTA.device)
    return torch.cat([step.z1_BTA[None], more])


def cost(settings: Settings) -> Cost:
    """The student once per sample; the teacher's ODE once per sample where positives are its."""
    solved = settings.positives == "teacher" and not settings.pairs_path
    evaluations = flow.evaluations(settings.teacher_num_steps, settings.solver)
    return Cost(teacher=settings.samples * evaluations if solved else 0, student=settings.samples)


def fields(settings: Settings) -> tuple[str, ...]:
    """The settings that are read, for each source of positives."""
    of_teacher = ("teacher_num_steps", "solver", "pairs_path")
    return ("samples", "positives", *(of_teacher if settings.positives == "teacher" else ()))
