"""Builds models on the meta device: names, shapes and dtypes without memory for weights."""

from __future__ import annotations

import importlib
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import torch

from ckpt_tools.probes.guard import RefusedError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


@contextmanager
def replaced(owner: Any, name: str, value: object) -> Iterator[None]:
    """Replace an attribute of a module or class while a block runs."""
    original = vars(owner)[name]
    setattr(owner, name, value)
    try:
        yield
    finally:
        setattr(owner, name, original)


def without_memory[M](make: Callable[[], M]) -> M:
    """Return what `make` builds, its parameters on the meta device.

    Models that compute with numbers while they are built cannot be built there entirely; of those
    only the parameters are.
    """
    try:
        with torch.device("meta"):
            return make()
    except (RuntimeError, NotImplementedError) as error:
        if isinstance(error.__context__, RefusedError) or "meta" not in str(error).lower():
            raise
    empty = importlib.import_module("accelerate").init_empty_weights
    with empty(include_buffers=False):
        return make()
