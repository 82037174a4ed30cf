"""Run a program that trains in FSDP on the CPU, in each process of a group.

    python fsdp_on_cpu.py (SCRIPT | -m MODULE) ARGUMENT...

accelerate supports FSDP only on accelerators, and torch's offloading of gathered tensors expects
one. The patches here work around these two; sharding, training, gathering and saving are
accelerate's, torch's and LeRobot's own.
"""

from __future__ import annotations

import os
import runpy
import sys
from collections.abc import Callable
from typing import Any

import torch
from accelerate.state import AcceleratorState, PartialState
from accelerate.utils import DistributedType
from torch.distributed import fsdp

SETTINGS = {
    "ACCELERATE_USE_CPU": "true", "ACCELERATE_USE_FSDP": "true",
    "ACCELERATE_MIXED_PRECISION": "bf16", "FSDP_VERSION": "1",
    "FSDP_USE_ORIG_PARAMS": "true", "FSDP_SHARDING_STRATEGY": "FULL_SHARD",
    "FSDP_AUTO_WRAP_POLICY": "NO_WRAP", "FSDP_STATE_DICT_TYPE": "FULL_STATE_DICT",
}  # fmt: skip

Wrapper = fsdp.FullyShardedDataParallel
_init_state, _init_wrapper = AcceleratorState.__init__, Wrapper.__init__


def _choose_fsdp(
    self: AcceleratorState, *arguments: Any, fsdp_plugin: Any = None, **named: Any
) -> None:
    _init_state(self, *arguments, fsdp_plugin=fsdp_plugin, **named)
    if fsdp_plugin is not None:
        fsdp_plugin.set_mixed_precision(self._mixed_precision)
        self.fsdp_plugin = fsdp_plugin
        PartialState._shared_state["distributed_type"] = self.distributed_type = (
            DistributedType.FSDP
        )


def _wrap_on_the_cpu(self: Wrapper, module: torch.nn.Module, **named: Any) -> None:
    # accelerate calls it cpu:0.
    _init_wrapper(self, module, **{**named, "device_id": torch.device("cpu")})


def _without_offload[C](config: Callable[..., C]) -> Callable[..., C]:
    def make(*, offload_to_cpu: bool = False, rank0_only: bool) -> C:
        return config(offload_to_cpu=False, rank0_only=rank0_only)

    return make


def main() -> None:
    """Run the program."""
    os.environ.update(SETTINGS)
    AcceleratorState.__init__, Wrapper.__init__ = _choose_fsdp, _wrap_on_the_cpu  # type: ignore[method-assign,assignment]  # see the module's docstring
    fsdp.FullStateDictConfig = _without_offload(fsdp.FullStateDictConfig)  # type: ignore[assignment,misc]  # see there
    fsdp.FullOptimStateDictConfig = _without_offload(fsdp.FullOptimStateDictConfig)  # type: ignore[assignment,misc]  # see there
    del sys.argv[0]
    if sys.argv[0] == "-m":
        del sys.argv[0]
        runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)
    else:
        runpy.run_path(sys.argv[0], run_name="__main__")


if __name__ == "__main__":
    main()
