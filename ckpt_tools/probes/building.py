"""Builds models on the meta device: names, shapes and dtypes without memory for weights."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import torch
from torch.nn.modules import module as torch_module

from ckpt_tools.probes.guard import REMOTE_CODE, RefusedError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

MOST_PARAMETERS = 200_000
"""The largest published models have 100,000."""


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
    from accelerate import init_empty_weights  # noqa: PLC0415 - timm works without it

    with init_empty_weights(include_buffers=False):
        return make()


def refuse_remote_code() -> None:
    """Refuse the code that a model's repository brings; called after transformers is there."""
    from transformers import dynamic_module_utils as module  # noqa: PLC0415 - only with transformers

    def refused(*_: object, **__: object) -> None:
        raise RefusedError(REMOTE_CODE)

    for name in ("get_class_in_module", "get_cached_module_file"):
        if hasattr(module, name):
            setattr(module, name, refused)


def limit_parameters() -> None:
    """Refuse a model of more parameters than any has, while it is being built."""
    counted = 0

    def count(*_: object) -> None:
        nonlocal counted
        counted += 1
        if counted > MOST_PARAMETERS:
            raise RefusedError(f"it would have more than {MOST_PARAMETERS:,} tensors")

    torch_module.register_module_parameter_registration_hook(count)
    torch_module.register_module_buffer_registration_hook(count)
