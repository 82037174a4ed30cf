"""AdamW with F32 masters, and its config, registered with LeRobot. Knows no models or policies.

SmolVLA's expert is stored in BF16, which has 8 significant bits: at the low learning rates of
distillation most updates are smaller than half a unit in the last place, and plain AdamW rounds
them away. Here every low-precision parameter is the rounding of an F32 master in the optimizer's
state, so small updates add up while forward, backward and inference use exactly the weights that
are saved.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from lerobot.optim import AdamWConfig, OptimizerConfig
from lerobot.optim.optimizers import OptimizerParams
from torch import Tensor
from torch.optim.adamw import adamw


class MasterAdamW(torch.optim.Optimizer):
    """AdamW (arXiv 1711.05101) in F32 for every parameter.

    A parameter of lower precision is the rounding of its master. State per parameter: `step` (F32
    scalar), `exp_avg` and `exp_avg_sq` (F32), and `master` (F32) where the parameter itself is not
    F32.
    """

    def __init__(
        self,
        params: OptimizerParams,
        *,
        lr: float,
        betas: tuple[float, float],
        eps: float,
        weight_decay: float,
    ) -> None:
        super().__init__(
            params, {"lr": lr, "betas": tuple(betas), "eps": eps, "weight_decay": weight_decay}
        )

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> float | None:  # type: ignore[override]  # torch types the two call forms as overloads
        """Update every parameter that has a gradient.

        Returns the closure's loss, if there is a closure.
        """
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for group in self.param_groups:
            self._step_group(group)
        return loss

    def _step_group(self, group: dict[str, Any]) -> None:
        trained: list[Tensor] = [
            parameter for parameter in group["params"] if parameter.grad is not None
        ]
        if not trained:
            return
        states = [self._state_of(parameter) for parameter in trained]
        masters = [
            state.get("master", parameter) for parameter, state in zip(trained, states, strict=True)
        ]
        beta1, beta2 = group["betas"]
        adamw(
            masters,
            [parameter.grad.float() for parameter in trained if parameter.grad is not None],
            [state["exp_avg"] for state in states],
            [state["exp_avg_sq"] for state in states],
            [],
            [state["step"] for state in states],
            amsgrad=False, beta1=beta1, beta2=beta2, lr=group["lr"],
            weight_decay=group["weight_decay"], eps=group["eps"], maximize=False,
        )  # fmt: skip
        for parameter, master in zip(trained, masters, strict=True):
            if master is not parameter:
                parameter.copy_(master)

    def _state_of(self, parameter: Tensor) -> dict[str, Tensor]:
        state: dict[str, Tensor] = self.state[parameter]
        if not state:
            state["step"] = torch.tensor(0.0)
            state["exp_avg"] = torch.zeros_like(parameter, dtype=torch.float32)
            state["exp_avg_sq"] = torch.zeros_like(parameter, dtype=torch.float32)
            if parameter.dtype != torch.float32:
                state["master"] = parameter.detach().to(torch.float32, copy=True)
        return state

    @torch.no_grad()
    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Restore a saved state in F32 and round the masters into their parameters.

        torch casts a loaded state to the parameter's dtype, which would round the masters away.
        """
        super().load_state_dict(state_dict)
        saved_ids = [index for group in state_dict["param_groups"] for index in group["params"]]
        parameters = [parameter for group in self.param_groups for parameter in group["params"]]
        for saved_id, parameter in zip(saved_ids, parameters, strict=True):
            saved = state_dict["state"].get(saved_id, {})
            for key in ("master", "exp_avg", "exp_avg_sq"):
                if key in saved:
                    self.state[parameter][key] = saved[key].to(
                        parameter.device, torch.float32, copy=True
                    )
            if "master" in saved:
                parameter.copy_(self.state[parameter]["master"])


@OptimizerConfig.register_subclass("adamw_f32_masters")
@dataclass
class MasterAdamWConfig(AdamWConfig):
    """LeRobot's AdamW fields; builds a `MasterAdamW`."""

    def build(self, params: OptimizerParams) -> torch.optim.Optimizer:
        """Build the optimizer of `params`."""
        return MasterAdamW(
            params, lr=self.lr, betas=self.betas, eps=self.eps, weight_decay=self.weight_decay
        )
