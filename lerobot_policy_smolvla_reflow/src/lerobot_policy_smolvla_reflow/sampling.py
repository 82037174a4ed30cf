"""The random numbers of a training step: noise, times, and which rows are real data.

They are a function of the run's seed, the step and the rank. LeRobot seeds every rank alike, and
its own resume does not reproduce torch's global generator: a data loader's iterator takes a number
from it. So nothing here uses that generator; a resumed run samples what the uninterrupted one would
have because it continues counting from the same step.
"""

from __future__ import annotations

import hashlib
from typing import NamedTuple

import torch
from torch import Tensor

from lerobot_policy_smolvla_reflow import flow
from lerobot_policy_smolvla_reflow.configuration_smolvla_reflow import SmolVLAReflowConfig


class StepSample(NamedTuple):
    """Noise z1_BTA ~ N(0, 1), times time_B in [0, 1], and real_B: rows with real data."""

    z1_BTA: Tensor
    time_B: Tensor
    real_B: Tensor


def step_generator(
    device: torch.device, *, step: int, rank: int, training: bool
) -> torch.Generator:
    """A generator on `device` for one step of one rank.

    Different for every step, rank and seed (torch's initial one), and between training and
    evaluation.
    """
    name = f"{torch.initial_seed()}/{'train' if training else 'evaluate'}/{step}/{rank}"
    # torch takes 63 bits.
    seed = int.from_bytes(hashlib.sha256(name.encode()).digest()[:8], "big") >> 1
    return torch.Generator(device).manual_seed(seed)


def this_rank() -> int:
    """This process's rank; 0 outside distributed training."""
    return (
        torch.distributed.get_rank()
        if torch.distributed.is_available() and torch.distributed.is_initialized()
        else 0
    )


def sample_step(config: SmolVLAReflowConfig, batch: int, generator: torch.Generator) -> StepSample:
    """The random numbers of one step for `batch` rows, F32, on the generator's device.

    The noise covers all `max_action_dim` dimensions, as at inference: the padded ones take part in
    the ODE, and zeros there would change the real ones.
    """
    device = generator.device
    z1_BTA = torch.randn(
        (batch, config.chunk_size, config.max_action_dim), generator=generator, device=device
    )
    time_B = flow.sample_time(
        config.time_sampling, batch, generator, endpoint_mass=config.endpoint_mass
    )
    if config.mix_real_data == 0:
        return StepSample(z1_BTA, time_B, torch.zeros(batch, dtype=torch.bool, device=device))
    real_B = torch.rand(batch, generator=generator, device=device) < config.mix_real_data
    real_time_B = flow.sample_time(
        config.real_time_sampling, batch, generator, endpoint_mass=config.endpoint_mass
    )
    return StepSample(z1_BTA, torch.where(real_B, real_time_B, time_B), real_B)
