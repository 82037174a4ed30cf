"""Digests by which an audit finds copies and shared parts.

`contents_of` reads the values of every tensor, which only `--values` does. The others are free:
of names and shapes, and what the file system and the Hugging Face cache know of a file.
"""

from __future__ import annotations

import os
import re
from collections import defaultdict
from contextlib import suppress
from typing import TYPE_CHECKING, NamedTuple

from blake3 import blake3

from ckpt_tools.audit.model import PartContent, TensorContent
from ckpt_tools.errors import ChangedDuringRead
from ckpt_tools.families.components import parts
from ckpt_tools.families.registry import family_of
from ckpt_tools.manifest.build import content_of
from ckpt_tools.manifest.digests import DigestRequest, digest_files
from ckpt_tools.manifest.model import TensorDigest
from ckpt_tools.progress import SILENT, Progress
from ckpt_tools.storage.identity import identity_at

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from ckpt_tools.audit.model import Candidate, FileState
    from ckpt_tools.checkpoint.model import Checkpoint, Tensor

TENSOR_DIGEST = 16
"""Bytes of a digest of one tensor: there are millions, and none of them proves a whole copy."""

_WEIGHTS = ".safetensors"
_CACHED = re.compile(r"(?:^|/)blobs/([0-9a-f]{64})$")

type _Digests = Mapping[tuple[str, str], str]
"""BLAKE3 of payloads in hexadecimal by (weight file, tensor): components may share names."""


class Contents(NamedTuple):
    """What the values of a checkpoint's tensors give, as in a Record."""

    payload: bytes
    tensors: tuple[TensorContent, ...]
    parts: tuple[PartContent, ...]


def with_free_digests(candidate: Candidate) -> Candidate:
    """Return the candidate with what is known of its local weight files without reading them.

    Their inodes, and of files in a Hugging Face cache, which stores them under their SHA-256, that.
    What cannot be looked at stays as it is: the check says why.
    """
    if "://" in candidate.location:
        return candidate
    files = (
        _with_free(candidate.location, one) if one.path.endswith(_WEIGHTS) else one
        for one in candidate.files
    )
    return candidate._replace(files=tuple(files))


def _with_free(location: str, file: FileState) -> FileState:
    full = os.path.join(location, file.path) if os.path.isdir(location) else location
    inode, target = file.inode, ""
    with suppress(OSError, ValueError):
        if not inode:
            status = os.stat(full)
            inode = f"{status.st_dev}:{status.st_ino}"
        target = os.readlink(full) if os.path.islink(full) else ""
    return file._replace(inode=inode, sha256=file.sha256 or cached_sha256(target))


def cached_sha256(target: str) -> str:
    """Return the SHA-256 in the target of a link into a Hugging Face cache, "" for none."""
    match = _CACHED.search(target)
    return match[1] if match else ""


def weight_paths(checkpoint: Checkpoint, location: str) -> tuple[str, ...]:
    """Return the paths of the weight files below `location`, which is, or contains, the root."""
    root, top = checkpoint.root.rstrip("/"), location.rstrip("/")
    below = f"{root.removeprefix(top).strip('/')}/" if root.startswith(f"{top}/") else ""
    return tuple(f"{below}{file.path}" for file in checkpoint.weights)


def structure_of(checkpoint: Checkpoint) -> bytes | None:
    """Return the digest of all names, dtypes and shapes, None without a tensor."""
    lines = sorted(
        f"{name!r} {tensor.dtype.label} {tensor.shape}\n" for name, tensor in _named(checkpoint)
    )
    return blake3("".join(lines).encode("ascii", "backslashreplace")).digest() if lines else None


def contents_of(checkpoint: Checkpoint, progress: Progress = SILENT) -> Contents:
    """Read a local checkpoint's tensors, and return the digests of the payload, of each, of parts.

    That of the payload is the content digest of a manifest. A part is a component of the family, or
    a folder of a model of several. Raises a CkptError that names the file: ChangedDuringRead if it
    was written to meanwhile.
    """
    digests = _read(checkpoint, progress)
    return Contents(
        _content(_named(checkpoint), digests),
        tuple(_contents(checkpoint.tensors, digests)),
        tuple(
            PartContent(
                title,
                len(tensors),
                sum(tensor.nbytes for tensor in tensors),
                _content(((tensor.name, tensor) for tensor in tensors), digests),
            )
            for title, tensors in _parts(checkpoint)
        ),
    )


def _read(checkpoint: Checkpoint, progress: Progress) -> _Digests:
    requests = []
    for file in checkpoint.weights:
        full = os.path.join(checkpoint.root, file.path)
        identity = identity_at(full)
        if identity.size != file.size:
            raise ChangedDuringRead("changed while it was read", path=full)
        ranges = tuple((file.payload_start + one.start, one.nbytes) for one in file.tensors)
        requests.append(DigestRequest(full, identity, ranges))
    found = digest_files(requests, threads=1, progress=progress)
    return {
        (file.path, tensor.name): digest.hex()
        for file, digests in zip(checkpoint.weights, found, strict=True)
        for tensor, digest in zip(file.tensors, digests.ranges, strict=True)
    }


def _content(named: Iterable[tuple[str, Tensor]], digests: _Digests) -> bytes:
    found = (
        TensorDigest(name, tensor.dtype, tensor.shape, digests[tensor.shard, tensor.name])
        for name, tensor in named
    )
    return bytes.fromhex(content_of(found))


def _contents(tensors: Iterable[Tensor], digests: _Digests) -> Iterator[TensorContent]:
    for tensor in tensors:
        text = f"{tensor.dtype.label} {tensor.shape} {digests[tensor.shard, tensor.name]}"
        yield TensorContent(blake3(text.encode()).digest(TENSOR_DIGEST), tensor.nbytes)


def _named(checkpoint: Checkpoint) -> Iterator[tuple[str, Tensor]]:
    """Yield (name, tensor); of a model of several components with the folder of each."""
    folders = len({os.path.dirname(file.path) for file in checkpoint.weights}) > 1
    for tensor in checkpoint.tensors:
        folder = os.path.dirname(tensor.shard) if folders else ""
        yield f"{folder}/{tensor.name}" if folder else tensor.name, tensor


def _parts(checkpoint: Checkpoint) -> Iterable[tuple[str, Sequence[Tensor]]]:
    """Return (title, tensors) of the parts that are parts of a model; none of an unknown one."""
    below: defaultdict[str, list[Tensor]] = defaultdict(list)
    for tensor in checkpoint.tensors:
        below[os.path.dirname(tensor.shard)].append(tensor)
    if len(below) > 1:
        return below.items()
    return parts(checkpoint) if len(family_of(checkpoint).components) > 1 else ()
