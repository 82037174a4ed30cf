"""Random numbers differ by step and rank, repeat with the seed, and use no global generator."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from lerobot_policy_smolvla_reflow.modeling_smolvla_reflow import SmolVLAReflowPolicy
from lerobot_policy_smolvla_reflow.sampling import sample_step, step_generator

from lerobot_policy_smolvla_reflow import SmolVLAReflowConfig

CPU = torch.device("cpu")


@pytest.fixture
def config(make_student: Callable[..., SmolVLAReflowPolicy]) -> SmolVLAReflowConfig:
    return make_student().config


def noise(
    config: SmolVLAReflowConfig, step: int, rank: int, *, training: bool = True, seed: int = 42
) -> bytes:
    torch.manual_seed(seed)
    z1 = sample_step(config, 8, step_generator(CPU, step=step, rank=rank, training=training)).z1_BTA
    return z1.numpy().tobytes()


def test_the_same_step_of_the_same_run_repeats(config: SmolVLAReflowConfig) -> None:
    assert noise(config, 5, 1) == noise(config, 5, 1)


def test_steps_ranks_seeds_and_evaluation_differ(config: SmolVLAReflowConfig) -> None:
    drawn = [
        noise(config, step, rank, training=training, seed=seed)
        for step in range(3)
        for rank in range(4)
        for training in (True, False)
        for seed in (1, 2)
    ]
    assert len(set(drawn)) == len(drawn)


def test_a_sample_neither_uses_nor_changes_the_global_generator(
    config: SmolVLAReflowConfig,
) -> None:
    torch.manual_seed(42)
    torch.rand(17)
    state = torch.random.get_rng_state()
    z1 = sample_step(config, 8, step_generator(CPU, step=5, rank=1, training=True)).z1_BTA
    assert z1.numpy().tobytes() == noise(config, 5, 1)
    torch.random.set_rng_state(state)
    sample_step(config, 8, step_generator(CPU, step=6, rank=1, training=True))
    assert torch.equal(torch.random.get_rng_state(), state)


def test_the_share_of_real_rows_is_mix_real_data(
    make_student: Callable[..., SmolVLAReflowPolicy],
) -> None:
    config = make_student(
        mix_real_data=0.25,
        real_time_sampling="uniform",
        time_sampling="endpoint_mixture",
        endpoint_mass=1.0,
    ).config
    drawn = sample_step(config, 20_000, torch.Generator().manual_seed(0))
    assert abs(drawn.real_B.float().mean() - 0.25) < 0.01
    assert (drawn.time_B[~drawn.real_B] == 1).all()
    assert abs(drawn.time_B[drawn.real_B].mean() - 0.5) < 0.02
