"""Multiply BF16 tensors in F32 on a CPU without BF16 instructions, and round the result to BF16.

That is what such instructions do, too: they accumulate in F32. Without them, torch 2.11 multiplies
in a loop that makes a training step of a small SmolVLA four times as long. Results differ in the
order of summation.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

Function = Callable[..., Tensor]


def install() -> None:
    """Let this process multiply BF16 tensors in F32, unless its CPU has the instructions."""
    if torch.cpu._is_avx512_bf16_supported():  # noqa: SLF001 - torch has no public name for it
        return
    for module, name in (
        (functional, "linear"),
        (functional, "conv2d"),
        (functional, "scaled_dot_product_attention"),
        (torch, "matmul"),
    ):
        setattr(module, name, _in_f32(getattr(module, name)))


def _in_f32(function: Function) -> Function:
    """The function, with its BF16 arguments and result converted."""

    @wraps(function)
    def converted(first: Tensor, *others: Any, **named: Any) -> Tensor:
        if first.dtype is not torch.bfloat16 or first.device.type != "cpu":
            return function(first, *others, **named)
        f32 = [_widen(each) for each in others]
        result = function(
            first.float(), *f32, **{name: _widen(each) for name, each in named.items()}
        )
        return result.to(torch.bfloat16)

    return converted


def _widen(value: Any) -> Any:
    return value.float() if isinstance(value, Tensor) and value.dtype is torch.bfloat16 else value
