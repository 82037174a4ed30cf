"""What a training step draws at random: noise, times, and which rows are real data.

A function of the run's seed, the step and the rank.

LeRobot seeds every rank alike, and its own resume does not reproduce torch's global generator:
making a data loader's iterator takes a number from it. So nothing here touches that generator; a
resumed run draws what the uninterrupted one would have because it counts on from the same step.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, NamedTuple

import torch
from torch import Tensor

from lerobot_policy_smolvla_reflow import flow

if TYPE_CHECKING:
    from lerobot_policy_smolvla_reflow.configuration_smolvla_reflow import SmolVLAReflowConfig


class Draw(NamedTuple):
    """Noise z1_BTA ~ N(0, 1) in every action dimension, times time_B in [0, 1], and real_B.

    Rows trained by plain flow matching.
    """

    z1_BTA: Tensor
    time_B: Tensor
    real_B: Tensor


def step_generator(
    device: torch.device, *, step: int, rank: int, training: bool
) -> torch.Generator:
    """A generator on `device` for one step of one rank, different for every other step, rank, seed (torch's initial one), and for evaluation."""
    name = f"{torch.initial_seed()}/{'train' if training else 'evaluate'}/{step}/{rank}"
    seed = (
        int.from_bytes(hashlib.sha256(name.encode()).digest()[:8], "big") >> 1
    )  # torch takes 63 bits
    return torch.Generator(device).manual_seed(seed)


def this_rank() -> int:
    """This process's rank; 0 outside of distributed training."""
    distributed = torch.distributed.is_available() and torch.distributed.is_initialized()
    return torch.distributed.get_rank() if distributed else 0


def draw(config: SmolVLAReflowConfig, batch: int, generator: torch.Generator) -> Draw:
    """One step's draw for `batch` rows, F32, on the generator's device.

    The noise covers all `max_action_dim` dimensions, as at inference: the padded ones take part in
    the ODE and zeros there would move the real ones.
    """
    shape = (batch, config.chunk_size, config.max_action_dim)
    z1_BTA = torch.randn(shape, generator=generator, device=generator.device)
    time_B = flow.sample_time(
        config.time_sampling, batch, generator, endpoint_mass=config.endpoint_mass
    )
    if config.mix_real_data == 0:
        return Draw(z1_BTA, time_B, torch.zeros(batch, dtype=torch.bool, device=generator.device))
    real_B = torch.rand(batch, generator=generator, device=generator.device) < config.mix_real_data
    real_time_B = flow.sample_time(
        config.real_time_sampling, batch, generator, endpoint_mass=config.endpoint_mass
    )
    return Draw(z1_BTA, torch.where(real_B, real_time_B, time_B), real_B)
