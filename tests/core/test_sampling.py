"""Randomness.

Every step and rank has its own, a seed repeats, and nothing outside matters or is touched.
"""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from lerobot_policy_smolvla_reflow.modeling_smolvla_reflow import SmolVLAReflowPolicy
from lerobot_policy_smolvla_reflow.sampling import draw, step_generator

from lerobot_policy_smolvla_reflow import SmolVLAReflowConfig

CPU = torch.device("cpu")


@pytest.fixture
def config(make_student: Callable[..., SmolVLAReflowPolicy]) -> SmolVLAReflowConfig:
    return make_student().config


def noise(
    config: SmolVLAReflowConfig, step: int, rank: int, *, training: bool = True, seed: int = 42
) -> bytes:
    torch.manual_seed(seed)
    z1 = draw(config, 8, step_generator(CPU, step=step, rank=rank, training=training)).z1_BTA
    return z1.numpy().tobytes()


def test_the_same_step_of_the_same_run_draws_the_same(config: SmolVLAReflowConfig) -> None:
    assert noise(config, 5, 1) == noise(config, 5, 1)


def test_steps_ranks_seeds_and_evaluation_all_draw_differently(config: SmolVLAReflowConfig) -> None:
    drawn = [
        noise(config, step, rank, training=training, seed=seed)
        for step in range(3)
        for rank in range(4)
        for training in (True, False)
        for seed in (1, 2)
    ]
    assert len(set(drawn)) == len(drawn)


def test_the_draw_does_not_depend_on_what_else_was_drawn_and_leaves_it_alone(
    config: SmolVLAReflowConfig,
) -> None:
    torch.manual_seed(42)
    torch.rand(17)
    state = torch.random.get_rng_state()
    z1 = draw(config, 8, step_generator(CPU, step=5, rank=1, training=True)).z1_BTA
    assert z1.numpy().tobytes() == noise(config, 5, 1)
    torch.random.set_rng_state(state)
    draw(config, 8, step_generator(CPU, step=6, rank=1, training=True))
    assert torch.equal(torch.random.get_rng_state(), state)


def test_the_share_of_real_rows_is_what_was_asked_for(
    make_student: Callable[..., SmolVLAReflowPolicy],
) -> None:
    config = make_student(
        mix_real_data=0.25,
        real_time_sampling="uniform",
        time_sampling="endpoint_mixture",
        endpoint_mass=1.0,
    ).config
    drawn = draw(config, 20_000, torch.Generator().manual_seed(0))
    assert abs(drawn.real_B.float().mean() - 0.25) < 0.01
    assert (drawn.time_B[~drawn.real_B] == 1).all()
    assert abs(drawn.time_B[drawn.real_B].mean() - 0.5) < 0.02
