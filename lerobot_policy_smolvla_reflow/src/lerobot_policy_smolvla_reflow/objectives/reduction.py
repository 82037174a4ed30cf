"""The loss of a batch from errors per element, with LeRobot's masks for rows of real data."""

from __future__ import annotations

import torch
from torch import Tensor

from lerobot_policy_smolvla_reflow import flow
from lerobot_policy_smolvla_reflow.objectives.step import Demonstrations


def batch_loss(
    loss: str,
    squared_error_BTA: Tensor,
    real_B: Tensor,
    demonstrations: Demonstrations,
    reduction: str,
) -> Tensor:
    """The loss of the batch: a scalar for `reduction="mean"`, loss_B for `"none"`.

    A row whose target is the teacher's counts every step, since the teacher's chunk has no padding,
    and every dimension: the padded ones are part of the teacher's ODE, their end points are not
    zero, and they affect the real dimensions at the next step. A row of real data, `real_B`, keeps
    LeRobot's masks. With `"mean"`, each kind is reduced as LeRobot reduces it and weighted by its
    share of the rows, so a batch of one kind has exactly that kind's loss. Raises ValueError for
    another reduction.
    """
    if reduction not in ("mean", "none"):
        raise ValueError(f"unknown reduction {reduction!r}; one of mean, none")
    reflow_B = flow.LOSSES[loss](squared_error_BTA)
    if not real_B.any():
        return reflow_B if reduction == "none" else reflow_B.mean()
    sum_B, valid_B = _sums(squared_error_BTA, demonstrations)
    if reduction == "none":
        return torch.where(real_B, sum_B / valid_B.clamp_min(1), reflow_B)
    share = real_B.to(sum_B.dtype)
    real = (sum_B * share).sum() / (valid_B * share).sum().clamp_min(1)
    return ((reflow_B * (1 - share)).sum() + real * share.sum()) / len(share)


def demonstration_loss(error_BTA: Tensor, demonstrations: Demonstrations, reduction: str) -> Tensor:
    """The mean error over real steps and dimensions, as LeRobot reduces its loss."""
    every_B = torch.ones(len(error_BTA), dtype=torch.bool, device=error_BTA.device)
    return batch_loss("mse", error_BTA, every_B, demonstrations, reduction)


def without_padding(error_BTA: Tensor, rows_B: Tensor, dims: int) -> Tensor:
    """Errors without the padded dimensions in these rows, and the others scaled to the same mean.

    A sampler's last step is the last use of the padded dimensions: what they end at is dropped.
    """
    size = error_BTA.shape[-1]
    weight_A = torch.zeros(size, device=error_BTA.device, dtype=error_BTA.dtype)
    weight_A[:dims] = size / dims
    return torch.where(rows_B[:, None, None], error_BTA * weight_A, error_BTA)


def _sums(error_BTA: Tensor, demonstrations: Demonstrations) -> tuple[Tensor, Tensor]:
    """The sum of the errors that LeRobot counts, and their number, per row."""
    real_BTD = error_BTA[:, :, : demonstrations.dims]
    counts_BT = (
        torch.ones_like(real_BTD[:, :, 0])
        if demonstrations.is_pad_BT is None
        else (~demonstrations.is_pad_BT).to(real_BTD.dtype)
    )
    sum_B = (real_BTD * counts_BT[:, :, None]).sum(dim=(1, 2))
    return sum_B, counts_BT.sum(dim=1) * demonstrations.dims
