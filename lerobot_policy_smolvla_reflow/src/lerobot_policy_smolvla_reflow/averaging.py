"""An exponential moving average of the trained weights, kept in F32 outside the module tree."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager

import torch
from torch import Tensor, nn


class WeightAverage:
    """average <- decay * average + (1 - decay) * weight after every optimizer step.

    It starts at the weights themselves. Rectified flow evaluates such an average with decay 0.9999
    (arXiv 2209.03003, appendix).
    """

    def __init__(self, parameters: Iterable[tuple[str, nn.Parameter]], decay: float) -> None:
        self.decay = decay
        self.weights = {
            name: weight.detach().to(torch.float32, copy=True)
            for name, weight in parameters
            if weight.requires_grad
        }

    @torch.no_grad()
    def update(self, parameters: Iterable[tuple[str, nn.Parameter]]) -> None:
        """Move the average towards `parameters`, on their device."""
        for name, weight in parameters:
            if name in self.weights:
                average = self.weights[name].to(weight.device)
                self.weights[name] = average.lerp_(weight.detach().float(), 1 - self.decay)

    @contextmanager
    def in_place_of(self, parameters: Iterable[tuple[str, nn.Parameter]]) -> Iterator[None]:
        """Give `parameters` the average's values, in their own dtypes, for the time of a block."""
        swapped = [(name, weight) for name, weight in parameters if name in self.weights]
        live = [weight.data for _, weight in swapped]
        try:
            for name, weight in swapped:
                weight.data = self.weights[name].to(weight.device, weight.dtype)
            yield
        finally:
            for (_, weight), data in zip(swapped, live, strict=True):
                weight.data = data

    def restore(self, weights: Mapping[str, Tensor]) -> None:
        """Continue from saved F32 weights. Raises KeyError when one is missing."""
        self.weights = {name: weights[name].to(torch.float32, copy=True) for name in self.weights}
