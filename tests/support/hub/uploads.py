"""A sharded checkpoint for the test Hub, and its download into the cache."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
from huggingface_hub import HfApi, constants

from ckpt_tools.checkpoint import header
from ckpt_tools.checkpoint.dtype import Dtype
from ckpt_tools.checkpoint.model import Tensor
from tests.support.hub.policies import REPO

if TYPE_CHECKING:
    from tests.support.hub.server import HubServer


pytestmark = pytest.mark.usefixtures("led")


def download(hub: HubServer, ignore: str | None = None) -> None:
    HfApi(endpoint=hub.endpoint, token=hub.token).snapshot_download(
        REPO, cache_dir=constants.HF_HUB_CACHE, ignore_patterns=ignore
    )


def shards(count: int, tensors: int) -> dict[str, bytes]:
    """A sharded checkpoint with its index."""
    files: dict[str, bytes] = {}
    where: dict[str, str] = {}
    for number in range(1, count + 1):
        name = f"model-{number:05}-of-{count:05}.safetensors"
        entries = [
            Tensor(
                f"model.layers.{number}.experts.{at}.gate_proj.weight",
                Dtype.F32,
                (8, 16),
                "",
                0,
                512,
            )
            for at in range(tensors)
        ]
        placed = header.layout(entries)
        files[name] = header.encode(placed) + bytes(placed[-1].end)
        where |= {tensor.name: name for tensor in placed}
    index = {"metadata": {"total_size": 512 * count * tensors}, "weight_map": where}
    return files | {
        "model.safetensors.index.json": json.dumps(index).encode(),
        "config.json": b"{}",
    }
