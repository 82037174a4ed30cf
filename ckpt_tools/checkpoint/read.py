"""Reading a checkpoint: headers, index and small text files into a `Checkpoint`.

No payload is read, except that of processor state.
"""

from __future__ import annotations

import os
from contextlib import suppress
from functools import lru_cache
from typing import TYPE_CHECKING

from ckpt_tools.checkpoint import header, shard_index
from ckpt_tools.checkpoint.documents import DOCUMENTS, state_names
from ckpt_tools.checkpoint.locate import Location, locate
from ckpt_tools.checkpoint.model import Checkpoint, Document, OtherFile, TensorFile
from ckpt_tools.errors import (
    ChangedDuringRead,
    CkptError,
    FormatError,
    PathNotFound,
    ShardMissing,
    located,
)
from ckpt_tools.storage.digests import sums_of
from ckpt_tools.storage.paths import LENGTH_BYTES
from ckpt_tools.storage.recording import current, observed
from ckpt_tools.storage.storage import LOCAL, LocalFile
from ckpt_tools.strict_json.parse import decode_utf8, parse_object

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from ckpt_tools.checkpoint.model import ShardIndex
    from ckpt_tools.storage.storage import ReadableFile, Storage

DOCUMENT_LIMIT = 4 << 20
INDEX_LIMIT = 64 << 20
"""Configs have kilobytes, the index of 100,000 tensors 10 MB.

Larger files are not parsed: parsing takes twenty times their size in memory.
"""

SMALL_FILE = 1 << 20
"""Of files up to this size, processor state is read and others are hashed."""

REMEMBERED = 128 << 10
"""Bytes of a header or config that an audit remembers: those of a full-size SmolVLA have 73 kB."""

_ENTRY = 90
_HEADER_SPARE = 1024
"""Bytes of a header: a tensor's entry without its name, and metadata and padding."""


def read(where: str, *, lenient: bool = False) -> Checkpoint:
    """Return the checkpoint that `where` names.

    `lenient` accepts what the safetensors library accepts against its own specification, and an
    index that disagrees with its shards. Raises a CkptError that names the file.
    """
    return read_at(locate(where), where, lenient=lenient)


def read_at(location: Location, where: str, *, lenient: bool = False) -> Checkpoint:
    """Return the checkpoint at `location`, named `where`, as `read` does."""
    index = _index(location)
    files = location.weights if index is None else shard_index.shards(index)
    location.storage.prefetch(_parts(location, index, files))
    weights = tuple(_weights(location, index, files, lenient=lenient))
    _check_shards(location, index, weights, lenient=lenient)
    documents = tuple(_documents(location))
    states = tuple(_states(location, documents, lenient=lenient))
    understood = {location.index_file, *(document.path for document in documents)}
    understood |= {file.path for file in (*weights, *states)}
    return Checkpoint(
        where=where,
        root=location.root,
        weights=weights,
        shard_index=index,
        states=states,
        documents=documents,
        others=tuple(
            other_file(location.root, name, location.storage)
            for name in location.names
            if name not in understood
        ),
    )


def _index(location: Location) -> ShardIndex | None:
    if location.index_file is None:
        return None
    path = os.path.join(location.root, location.index_file)
    with located(path):
        data = location.storage.read(path, INDEX_LIMIT)
        return shard_index.decode(decode_utf8(data), location.index_file)


def _parts(
    location: Location, index: ShardIndex | None, files: tuple[str, ...]
) -> Iterator[tuple[str, int]]:
    """Yield what is read next: the likely header of each weight file, and whole documents."""
    lengths: dict[str, int] = {}
    for name, shard in index.weight_map if index else ():
        lengths[shard] = lengths.get(shard, _HEADER_SPARE) + len(name) + _ENTRY
    for name in files:
        yield os.path.join(location.root, name), lengths.get(name, 0)
    for name in location.names:
        if name in DOCUMENTS:
            path = os.path.join(location.root, name)
            yield path, min(location.storage.size(path), DOCUMENT_LIMIT)


def _weights(
    location: Location, index: ShardIndex | None, files: tuple[str, ...], *, lenient: bool
) -> Iterator[TensorFile]:
    for name in files:
        try:
            yield tensor_file(location.root, name, location.storage, lenient=lenient)
        except PathNotFound:
            if index is None:
                raise
            raise ShardMissing(
                f"lists the shard {name!r}, which is missing",
                path=os.path.join(location.root, index.path),
            ) from None


def tensor_file(
    root: str,
    name: str,
    storage: Storage = LOCAL,
    *,
    lenient: bool = False,
    keep_payload: bool = False,
) -> TensorFile:
    """Return the header of the .safetensors file `name` in the folder `root`.

    With `keep_payload` also the payload, if the file is small.
    """
    path = os.path.join(root, name)
    with storage.open(path) as file:
        return _decoded(file, path, name, lenient=lenient, keep_payload=keep_payload)


def _decoded(
    file: ReadableFile, path: str, name: str, *, lenient: bool, keep_payload: bool = False
) -> TensorFile:
    size = file.size
    with located(path):
        length = header.header_length(file.read(min(size, LENGTH_BYTES), 0), size)
        text = file.read(length, LENGTH_BYTES)
        start = LENGTH_BYTES + length
        decode = _decoded_once if current() and length <= REMEMBERED else header.decode
        tensors, metadata = decode(text, size - start, shard=name, lenient=lenient)
    payload = file.read(size - start, start) if keep_payload and size <= SMALL_FILE else None
    return TensorFile(name, size, start, tensors, metadata, payload)


_decoded_once = lru_cache(maxsize=64)(header.decode)
_parsed_once = lru_cache(maxsize=256)(parse_object)
"""In an audit: the steps of a run have the same headers and configs. Nothing changes a value."""


def refuse_other(file: TensorFile, descriptor: int, path: str) -> None:
    """Raise ChangedDuringRead unless the open file at `path` still has the header of `file`.

    Otherwise the bytes of its tensors would be those of others.
    """
    size = os.fstat(descriptor).st_size
    if size < file.size:
        raise ChangedDuringRead("became shorter while it was read", path=path)
    try:
        now = _decoded(LocalFile(descriptor, size, path), path, file.path, lenient=True)
    except FormatError:
        now = None
    before = file._replace(metadata=None, payload=None, sha256="", git_id="")
    if now is None or now._replace(metadata=None) != before:
        raise ChangedDuringRead("has another header than when it was first read", path=path)


def _check_shards(
    location: Location, index: ShardIndex | None, weights: tuple[TensorFile, ...], *, lenient: bool
) -> None:
    missing = shard_index.missing_shard(location.weights) if location.whole_folder else ""
    if missing:
        raise ShardMissing(f"the shard {missing} is missing", path=location.root)
    if lenient:
        return
    path = os.path.join(location.root, index.path) if index else location.root
    for error in (
        shard_index.disagreements(index, weights, location.names)
        if index
        else shard_index.duplicates(weights)
    ):
        raise error.at(path)


def _documents(location: Location) -> Iterator[Document]:
    for name in location.names:
        if name.removesuffix("/") in DOCUMENTS:
            path = os.path.join(location.root, name.removesuffix("/"))
            with located(path):
                text = decode_utf8(location.storage.read(path, DOCUMENT_LIMIT))
                parsed = _parsed_once if current() and len(text) <= REMEMBERED else parse_object
                value = parsed(text)
                document = Document(name, text, dict(value))
            yield document


def _states(
    location: Location, documents: Iterable[Document], *, lenient: bool
) -> Iterator[TensorFile]:
    """Yield the state files that processor pipelines name, as far as they exist."""
    root, storage = location.root, location.storage
    try:
        paths = {name: os.path.join(root, name) for name in state_names(documents)}
    except FormatError as error:
        error.path = os.path.join(root, error.path)
        raise
    storage.prefetch((path, SMALL_FILE) for path in paths.values())
    for name, path in paths.items():
        if storage.is_file(path):
            yield tensor_file(root, name, storage, lenient=lenient, keep_payload=True)


def other_file(root: str, name: str, storage: Storage = LOCAL) -> OtherFile:
    """Return the size of the file `name` in the folder `root`, of a small one also the hashes.

    They are unknown where reading it takes a request of its own. A name ending in `/` is a folder.
    """
    path = os.path.join(root, name)
    if name.endswith("/"):
        return OtherFile(name, 0)
    size, *sums = observed("other", path, lambda: _size_and_sums(path, storage))
    return OtherFile(name, size, *sums)


def _size_and_sums(path: str, storage: Storage) -> tuple[int, str, str]:
    size, sums = storage.size(path), storage.known_sums(path)
    if size <= SMALL_FILE and storage.near and not any(sums):
        with suppress(CkptError):
            sums = sums_of(storage.read(path, SMALL_FILE))
    return size, *sums
