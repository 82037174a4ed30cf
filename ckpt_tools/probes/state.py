"""The tensors of a model that was built without memory, as a checkpoint of it has them."""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING, NamedTuple

import torch

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

DTYPES = {
    torch.float64: "F64",
    torch.float32: "F32",
    torch.bfloat16: "BF16",
    torch.float16: "F16",
    torch.float8_e4m3fn: "F8_E4M3",
    torch.float8_e5m2: "F8_E5M2",
    torch.complex64: "C64",
    torch.int64: "I64",
    torch.int32: "I32",
    torch.int16: "I16",
    torch.int8: "I8",
    torch.uint8: "U8",
    torch.bool: "BOOL",
}


type Held = Mapping[str, Sequence[int]]
"""The names and shapes of a file's tensors."""


class Tensors(NamedTuple):
    """What a library saves, by name, and the groups of names of one tensor.

    Of each group `tensors` has the name that is saved. `reads` are other names of a file that the
    library's loader takes, each with the saved names that it stands for, none if it is passed over.
    `spared` are names that may be missing.
    """

    tensors: dict[str, torch.Tensor]
    ties: tuple[tuple[str, ...], ...]
    reads: Mapping[str, list[str]] = MappingProxyType({})
    spared: tuple[str, ...] = ()


def answer(found: Tensors) -> dict[str, object]:
    """Return the answer as JSON has it."""
    return {
        "tensors": {
            name: [DTYPES[tensor.dtype], *tensor.shape]
            for name, tensor in sorted(found.tensors.items())
        },
        "ties": [list(names) for names in found.ties],
        "reads": dict(found.reads),
        "spared": sorted(found.spared),
    }


def state_of(model: torch.nn.Module) -> dict[str, torch.Tensor]:
    """Return the state of a model, tensors of several names being one object."""
    state = model.state_dict(keep_vars=True)
    return {name: one for name, one in state.items() if isinstance(one, torch.Tensor)}


def tied(state: Mapping[str, torch.Tensor]) -> list[list[str]]:
    """Return the groups of names of one tensor, each in order."""
    groups: dict[int, list[str]] = {}
    for name, tensor in state.items():
        groups.setdefault(id(tensor), []).append(name)
    return [sorted(names) for names in groups.values() if len(names) > 1]


def saved_once(model: torch.nn.Module) -> Tensors:
    """Return what the safetensors library saves of a model: of several names the first."""
    state = state_of(model)
    ties = tied(state)
    dropped = {name for names in ties for name in names[1:]}
    kept = {name: tensor for name, tensor in state.items() if name not in dropped}
    return Tensors(kept, tuple(tuple(names) for names in ties))


def with_real_buffers(modules: Iterable[torch.nn.Module]) -> None:
    """Give buffers memory, which is not written: code that saves looks at their addresses."""
    real: dict[int, torch.Tensor] = {}
    for module in modules:
        for name, buffer in module.named_buffers(recurse=False):
            if buffer.is_meta:
                real.setdefault(id(buffer), torch.empty_like(buffer, device="cpu"))
                setattr(module, name, real[id(buffer)])
