"""F32 masters: small updates add up, and a saved state continues exactly."""

from __future__ import annotations

from pathlib import Path

import torch
from lerobot.optim import AdamWConfig
from lerobot.optim.optimizers import load_optimizer_state, save_optimizer_state
from lerobot_policy_smolvla_reflow.optimizer import MasterAdamW, MasterAdamWConfig
from torch import Tensor, nn

RATE = 1e-5
SETTINGS = {"lr": RATE, "betas": (0.9, 0.95), "eps": 1e-8, "weight_decay": 1e-10}


def weights(dtype: torch.dtype) -> list[nn.Parameter]:
    random = torch.Generator().manual_seed(0)
    return [
        nn.Parameter((torch.randn(64, 64, generator=random) * 0.05).to(dtype)) for _ in range(2)
    ]


def train(
    parameters: list[nn.Parameter], optimizer: torch.optim.Optimizer, steps: int, start: int = 0
) -> None:
    for step in range(start, start + steps):
        random = torch.Generator().manual_seed(step)
        for parameter in parameters:
            parameter.grad = (torch.randn(parameter.shape, generator=random) + 1).to(
                parameter.dtype
            )
        optimizer.step()


def moved(parameters: list[nn.Parameter]) -> float:
    start = weights(parameters[0].dtype)
    return float(
        torch.stack(
            [(now != then).float().mean() for now, then in zip(parameters, start, strict=True)]
        ).mean()
    )


def test_bf16_weights_move_at_a_small_rate_and_do_not_without_masters() -> None:
    with_masters, without = weights(torch.bfloat16), weights(torch.bfloat16)
    train(with_masters, MasterAdamW(with_masters, **SETTINGS), 50)
    train(without, torch.optim.AdamW(without, **SETTINGS), 50)
    assert moved(with_masters) > 0.5
    assert moved(without) < 0.3


def test_parameters_are_the_rounding_of_their_masters() -> None:
    parameters = weights(torch.bfloat16)
    optimizer = MasterAdamW(parameters, **SETTINGS)
    train(parameters, optimizer, 3)
    for parameter in parameters:
        master = optimizer.state[parameter]["master"]
        assert master.dtype == torch.float32
        assert torch.equal(parameter, master.to(torch.bfloat16))
        assert not torch.equal(parameter.float(), master)


def test_masters_follow_f32_training_exactly() -> None:
    low, full = (
        weights(torch.bfloat16),
        [nn.Parameter(weight.detach().float()) for weight in weights(torch.bfloat16)],
    )
    low_optimizer, full_optimizer = (
        MasterAdamW(low, **SETTINGS),
        torch.optim.AdamW(full, **SETTINGS),
    )
    for step in range(5):
        for one, other in zip(low, full, strict=True):
            one.grad = torch.randn(one.shape, generator=torch.Generator().manual_seed(step)).to(
                torch.bfloat16
            )
            other.grad = one.grad.float()
        low_optimizer.step()
        full_optimizer.step()
    for one, other in zip(low, full, strict=True):
        assert torch.equal(low_optimizer.state[one]["master"], other)


def test_f32_parameters_are_trained_as_by_torchs_adamw_and_have_no_master() -> None:
    with_masters, stock = weights(torch.float32), weights(torch.float32)
    optimizer = MasterAdamW(with_masters, **SETTINGS)
    train(with_masters, optimizer, 5)
    train(stock, torch.optim.AdamW(stock, **SETTINGS), 5)
    assert all(torch.equal(one, other) for one, other in zip(with_masters, stock, strict=True))
    assert all("master" not in optimizer.state[parameter] for parameter in with_masters)


def test_a_state_saved_by_lerobot_continues_exactly(tmp_path: Path) -> None:
    straight, first = weights(torch.bfloat16), weights(torch.bfloat16)
    train(straight, MasterAdamW(straight, **SETTINGS), 6)
    optimizer = MasterAdamW(first, **SETTINGS)
    train(first, optimizer, 3)
    save_optimizer_state(optimizer, tmp_path)
    second = [nn.Parameter(weight.detach().clone()) for weight in first]
    resumed = load_optimizer_state(MasterAdamW(second, **SETTINGS), tmp_path)
    assert isinstance(resumed, MasterAdamW)
    assert all(
        state[key].dtype == torch.float32
        for state in resumed.state.values()
        for key in ("master", "exp_avg", "exp_avg_sq")
    )
    train(second, resumed, 3, start=3)
    assert all(torch.equal(one, other) for one, other in zip(straight, second, strict=True))


def test_loading_an_empty_state_is_harmless() -> None:
    # accelerate reloads every optimizer's state once, before the first step.
    parameters = weights(torch.bfloat16)
    optimizer = MasterAdamW(parameters, **SETTINGS)
    untouched = weights(torch.bfloat16)
    optimizer.load_state_dict(optimizer.state_dict())
    train(parameters, optimizer, 1)
    train(untouched, MasterAdamW(untouched, **SETTINGS), 1)
    assert all(torch.equal(one, other) for one, other in zip(parameters, untouched, strict=True))


def test_parameters_without_gradient_and_groups_with_their_own_rate_are_respected() -> None:
    still, slow, fast = (nn.Parameter(torch.ones(4, dtype=torch.bfloat16)) for _ in range(3))
    optimizer = MasterAdamW([{"params": [still, slow]}, {"params": [fast], "lr": 0.5}], **SETTINGS)
    slow.grad, fast.grad = torch.ones(4, dtype=torch.bfloat16), torch.ones(4, dtype=torch.bfloat16)
    optimizer.step()
    assert torch.equal(still, torch.ones(4, dtype=torch.bfloat16))
    assert still not in optimizer.state
    torch.testing.assert_close(optimizer.state[slow]["master"], torch.full((4,), 1 - RATE))
    torch.testing.assert_close(optimizer.state[fast]["master"], torch.full((4,), 0.5))


def test_a_closures_loss_is_returned() -> None:
    parameter = nn.Parameter(torch.ones(2))

    def closure() -> Tensor:
        loss = parameter.sum()
        loss.backward()
        return loss

    loss: object = MasterAdamW([parameter], **SETTINGS).step(closure)
    assert isinstance(loss, Tensor)
    assert loss.detach() == 2


def test_the_registered_config_builds_it_with_adamws_fields() -> None:
    config = MasterAdamWConfig(lr=1e-3, weight_decay=0.1)
    optimizer = config.build(weights(torch.float32))
    assert isinstance(optimizer, MasterAdamW)
    assert optimizer.param_groups[0]["lr"] == 1e-3
    assert config.type == "adamw_f32_masters"
    assert AdamWConfig().type == "adamw"
