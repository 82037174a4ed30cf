"""Experts as two tensors a layer, as transformers 5 has them in memory.

It writes them so with `save_original_format=False`; else each expert has tensors of its own, and
those are what a family's file lists.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

    from ckpt_tools.families.family import Expectation, Expected

_STACKED = re.compile(r"\.mlp\.experts\.(?:gate_up|down)_proj$")
_EXPERT = re.compile(
    r"(.*\.)(?:mlp|block_sparse_moe)\.experts\.\d+\.(?:(gate_proj|w1)|(up_proj|w3)|down_proj|w2)"
    r"\.weight"
)
_ROUTER = re.compile(r"\.block_sparse_moe\.gate\.")


def with_stacked_experts(found: Expectation, stored: Iterable[str]) -> Expectation:
    """Return the expectation with the experts of each layer as one where they are stored so."""
    if not any(_STACKED.search(name) for name in stored):
        return found
    tensors: dict[str, Expected] = {}
    experts: dict[str, int] = {}
    for name, one in found.tensors.items():
        expert = _EXPERT.fullmatch(name)
        if expert is None:
            tensors[_ROUTER.sub(".mlp.gate.", name)] = one
        elif not expert[3]:  # a gate and what goes up are one tensor
            whole = f"{expert[1]}mlp.experts.{'gate_up_proj' if expert[2] else 'down_proj'}"
            experts[whole] = experts.get(whole, 0) + 1
            tensors[whole] = one._replace(
                shape=_shape(one.shape, experts[whole], 2 if expert[2] else 1)
            )
    return found._replace(tensors=tensors)


def _shape(one: tuple[int, ...] | None, experts: int, parts: int) -> tuple[int, ...] | None:
    return None if one is None else (experts, parts * one[0], *one[1:])
