"""The loss of a batch that may mix reflow rows and real-data rows, from squared errors.

Tensors only; no model.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from lerobot_policy_smolvla_reflow import flow


@dataclass(frozen=True, slots=True)
class RealRows:
    """Which rows train on the dataset's actions, and LeRobot's masks for them.

    `is_pad_BT` marks steps after the end of the episode (None when the dataset has no such mask);
    `dims` is the number of the robot's own action dimensions.
    """

    real_B: Tensor
    is_pad_BT: Tensor | None
    dims: int


def batch_loss(loss: str, squared_error_BTA: Tensor, rows: RealRows, reduction: str) -> Tensor:
    """The loss of the batch: a scalar for `reduction="mean"`, loss_B for `"none"`.

    A reflow row counts every step, since its target is the teacher's chunk, which has no padding,
    and every dimension: the padded ones are part of the teacher's ODE, their end points are not
    zero, and they affect the real dimensions at the next step. A real row keeps LeRobot's masks.
    With `"mean"`, each kind is reduced as LeRobot reduces it and weighted by its share of the rows,
    so a batch of one kind has exactly that kind's loss. Raises ValueError for another reduction.
    """
    if reduction not in ("mean", "none"):
        raise ValueError(f"unknown reduction {reduction!r}; one of mean, none")
    reflow_B = flow.LOSSES[loss](squared_error_BTA)
    if not rows.real_B.any():
        return reflow_B if reduction == "none" else reflow_B.mean()
    real_BTD = squared_error_BTA[:, :, : rows.dims]
    counts_BT = (
        torch.ones_like(real_BTD[:, :, 0])
        if rows.is_pad_BT is None
        else (~rows.is_pad_BT).to(real_BTD.dtype)
    )
    sum_B = (real_BTD * counts_BT[:, :, None]).sum(dim=(1, 2))
    valid_B = counts_BT.sum(dim=1) * rows.dims
    if reduction == "none":
        return torch.where(rows.real_B, sum_B / valid_B.clamp_min(1), reflow_B)
    share = rows.real_B.to(sum_B.dtype)
    real = (sum_B * share).sum() / (valid_B * share).sum().clamp_min(1)
    return ((reflow_B * (1 - share)).sum() + real * share.sum()) / len(share)
