"""What an objective is: a loss of one training step, its cost, and the settings that it reads.

Tensors and velocities only; no model. Shape suffixes as in `flow`, and G generated samples or P
positives per observation. A velocity takes a whole multiple of the batch: its rows are then the
batch, repeated.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, NamedTuple, Protocol

import torch
from torch import Tensor

from lerobot_policy_smolvla_reflow.flow import Velocity


class Settings(Protocol):
    """The fields of the policy's config that objectives read."""

    teacher_num_steps: int
    solver: str
    loss: str
    mix_real_data: float
    grid_steps: int
    samples: int
    positives: str
    pairs_path: str | None


class Demonstrations(NamedTuple):
    """The dataset's actions, normalized and padded to all dimensions, and what is real of them.

    `is_pad_BT` marks steps after the end of the episode (None when the dataset has no such mask);
    `dims` is the number of the robot's own action dimensions.
    """

    actions_BTA: Tensor
    is_pad_BT: Tensor | None
    dims: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One training step, as an objective sees it.

    Noise, times, the rows of real data, and a generator for more random numbers; what the teacher's
    stored pairs hold; velocities of the teacher and of the student's weight average, without
    gradient, and of the student, with gradient; demonstrations; the share of the run that is done.
    `stored_PBTA` are end points of the teacher: that of this noise, or of P other noise samples.
    """

    z1_BTA: Tensor
    time_B: Tensor
    real_B: Tensor
    generator: torch.Generator
    stored_PBTA: Tensor | None
    teacher: Velocity
    student: Velocity
    average: Velocity
    demonstrations: Demonstrations
    progress: float
    reduction: str = "mean"

    def at(self, time: float) -> Tensor:
        """`time` for every row of the batch."""
        return torch.full_like(self.time_B, time)


def no_teacher(x_BTA: Tensor, time_B: Tensor) -> Tensor:  # noqa: ARG001 - a velocity's signature
    """The velocity of the teacher for an objective whose cost says that it needs none."""
    raise AssertionError("the objective's cost says that it needs no teacher")


class Loss(NamedTuple):
    """A loss, reduced as the step asks for, and values to log."""

    value: Tensor
    logged: dict[str, float]


class Cost(NamedTuple):
    """Passes of the action expert over the batch in one training step; only the student's train."""

    teacher: int
    student: int
    average: int = 0

    def __str__(self) -> str:
        """As in `10 teacher passes and 1 student pass`."""
        named = (("teacher", self.teacher), ("average", self.average), ("student", self.student))
        passes = [
            f"{count} {name} pass{'es' if count > 1 else ''}" for name, count in named if count
        ]
        return " and ".join((", ".join(passes[:-1]), passes[-1])) if passes[1:] else passes[0]


@dataclass(frozen=True, slots=True, kw_only=True)
class Objective:
    """A loss, and what the rest of the plugin must know of it, as data.

    `fields` are the settings that it reads; a setting of another objective is rejected. `steps` is
    the number of sampling steps that its student is made for; None: any. `stored` says what it
    takes of stored pairs: a pair per row, or all end points of the row's observation.
    `average_decay` is the usual decay of the weight average that it needs; 0: it needs none.
    `conflict` gives a setting that it cannot train with, and the reason.
    """

    loss: Callable[[Step, Settings], Loss]
    cost: Callable[[Settings], Cost]
    fields: Callable[[Settings], tuple[str, ...]]
    steps: Callable[[Settings], int | None] = lambda _: 1
    stored: Literal["pair", "end points"] = "pair"
    average_decay: float = 0.0
    conflict: Callable[[Settings], tuple[str, str] | None] = lambda _: None
