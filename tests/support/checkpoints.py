"""Checkpoints with any tensors, as Hypothesis draws them, and as files in one shard or several."""

from __future__ import annotations

import json
import shutil
from math import prod
from typing import TYPE_CHECKING, Any

from hypothesis import strategies as st

from ckpt_tools.checkpoint.dtype import Dtype

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

INDEX = "model.safetensors.index.json"

type Tensors = dict[str, tuple[Dtype, tuple[int, ...], bytes]]


@st.composite
def tensors(draw: Any, least: int = 1) -> Tensors:
    names = draw(
        st.lists(
            st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=8),
            unique=True,
            min_size=least,
            max_size=5,
        )
    )
    found: Tensors = {}
    for name in names:
        dtype = draw(st.sampled_from([Dtype.U8, Dtype.BF16, Dtype.F16, Dtype.F32]))
        shape = tuple(draw(st.lists(st.integers(0, 3), max_size=3)))
        size = prod(shape) * dtype.bits // 8
        found[name] = dtype, shape, draw(st.binary(min_size=size, max_size=size))
    return {name: found[name] for name in names if name != "__metadata__"}


def weights(
    held: Mapping[str, tuple[Dtype, tuple[int, ...], bytes]],
    metadata: dict[str, str] | None = None,
) -> bytes:
    """Return a file with these tensors, payloads and header in this order."""
    header: dict[str, Any] = {} if metadata is None else {"__metadata__": metadata}
    start = 0
    for name, (dtype, shape, payload) in held.items():
        header[name] = {
            "dtype": dtype.label,
            "shape": shape,
            "data_offsets": [start, start + len(payload)],
        }
        start += len(payload)
    encoded = json.dumps(header).encode()
    return (
        len(encoded).to_bytes(8, "little")
        + encoded
        + b"".join(payload for _, _, payload in held.values())
    )


def written(folder: Path, *shards: Tensors, metadata: dict[str, str] | None = None) -> str:
    """Write a checkpoint, in shards with an index if there are several."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    if len(shards) == 1:
        (folder / "model.safetensors").write_bytes(weights(shards[0], metadata))
        return str(folder)
    weight_map: dict[str, str] = {}
    for number, held in enumerate(shards, 1):
        path = f"model-{number:05}-of-{len(shards):05}.safetensors"
        (folder / path).write_bytes(weights(held, metadata))
        weight_map |= dict.fromkeys(held, path)
    (folder / INDEX).write_text(json.dumps({"metadata": {}, "weight_map": weight_map}))
    return str(folder)
