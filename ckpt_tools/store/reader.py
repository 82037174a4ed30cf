"""Reading a checkpoint: headers, index and small text files of a local folder into a `Checkpoint`. Payload is not read, except for processor state."""

from __future__ import annotations

import importlib
import os
from typing import TYPE_CHECKING

from ckpt_tools.errors import CkptError, FormatError, NothingThere, ShardMissing
from ckpt_tools.format import header, shard_index
from ckpt_tools.format.documents import DOCUMENTS, state_names
from ckpt_tools.format.json_text import decode_utf8, parse_object
from ckpt_tools.records.checkpoint import Checkpoint, Document, OtherFile, TensorFile
from ckpt_tools.store.files import open_regular, read_at, read_whole, size_of
from ckpt_tools.store.locate import Location, locate

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from ckpt_tools.records.checkpoint import ShardIndex

DOCUMENT_LIMIT = 4 << 20
INDEX_LIMIT = 64 << 20
"""Configs have kilobytes; the index of 100,000 tensors has 10 MB. Larger files are not parsed: a hostile one costs twenty times its size."""

SMALL_FILE = 1 << 20
"""Files up to this size are read on a first look: processor state in full, others for their digest."""


def read(where: str, *, lenient: bool = False) -> Checkpoint:
    """Return the checkpoint that `where` names, headers, index and small text files only.

    `lenient` reads what the safetensors library reads against its own specification, and an index that disagrees with its shards.
    Raises a CkptError that names the file.
    """
    location = locate(where)
    index = _index(location)
    weights = tuple(_weights(location, index, lenient=lenient))
    _check_shards(location, index, weights, lenient=lenient)
    documents = tuple(_documents(location))
    states = tuple(_states(location, documents, lenient=lenient))
    understood = {file.path for file in (*weights, *states)} | {document.path for document in documents} | {location.index_file}
    return Checkpoint(
        where=where,
        root=location.root,
        weights=weights,
        shard_index=index,
        states=states,
        documents=documents,
        others=tuple(other_file(location.root, name) for name in location.names if name not in understood),
    )


def _index(location: Location) -> ShardIndex | None:
    if location.index_file is None:
        return None
    path = os.path.join(location.root, location.index_file)
    data = read_whole(path, INDEX_LIMIT)
    try:
        return shard_index.decode(decode_utf8(data), location.index_file)
    except FormatError as error:
        raise error.at(path) from None


def _weights(location: Location, index: ShardIndex | None, *, lenient: bool) -> Iterator[TensorFile]:
    for name in location.weights if index is None else shard_index.shards(index):
        try:
            yield tensor_file(location.root, name, lenient=lenient)
        except NothingThere:
            if index is None:
                raise
            msg = f"names the shard {name!r}, which is not there"
            raise ShardMissing(msg, path=os.path.join(location.root, index.path)) from None


def tensor_file(root: str, name: str, *, lenient: bool = False, keep_payload: bool = False) -> TensorFile:
    """Return what the header of the .safetensors file `name` in the folder `root` says; with `keep_payload`, a small one's payload too."""
    path = os.path.join(root, name)
    with open_regular(path) as (descriptor, size):
        try:
            length = header.header_length(read_at(descriptor, min(size, header.LENGTH_BYTES), 0, path), size)
            text = read_at(descriptor, length, header.LENGTH_BYTES, path)
            start = header.LENGTH_BYTES + length
            decoded = header.decode(text, size - start, shard=name, lenient=lenient)
        except FormatError as error:
            raise error.at(path) from None
        payload = read_at(descriptor, size - start, start, path) if keep_payload and size <= SMALL_FILE else None
    return TensorFile(path=name, size=size, payload_start=start, tensors=decoded.tensors, metadata=decoded.metadata, payload=payload)


def _check_shards(location: Location, index: ShardIndex | None, weights: tuple[TensorFile, ...], *, lenient: bool) -> None:
    lacking = shard_index.lacking(location.weights) if location.whole_folder else ""
    if lacking:
        msg = f"the shard {lacking} is not here"
        raise ShardMissing(msg, path=location.root)
    if lenient:
        return
    path = os.path.join(location.root, index.path) if index else location.root
    for error in shard_index.disagreements(index, weights, location.names) if index else shard_index.doubles(weights):
        raise error.at(path)


def _documents(location: Location) -> Iterator[Document]:
    for name in location.names:
        if name.removesuffix("/") in DOCUMENTS:
            path = os.path.join(location.root, name.removesuffix("/"))
            try:
                text = decode_utf8(read_whole(path, DOCUMENT_LIMIT))
                yield Document(path=name, text=text, value=dict(parse_object(text)))
            except FormatError as error:
                raise error.at(path) from None


def _states(location: Location, documents: Iterable[Document], *, lenient: bool) -> Iterator[TensorFile]:
    """Yield the state files that processors name and the folder holds, each once."""
    try:
        names = state_names(documents)
    except FormatError as error:
        error.path = os.path.join(location.root, error.path)
        raise
    for name in names:
        if os.path.isfile(os.path.join(location.root, name)):
            yield tensor_file(location.root, name, lenient=lenient, keep_payload=True)


def other_file(root: str, name: str) -> OtherFile:
    """Return the size, and for a small file the digest, of the file `name` in the folder `root`; a name ending in `/` is a folder."""
    path = os.path.join(root, name)
    if name.endswith("/"):
        return OtherFile(path=name, size=0)
    size = size_of(path)
    if size > SMALL_FILE:
        return OtherFile(path=name, size=size)
    try:
        # hashlib loads OpenSSL; most checkpoints have no other files and should not wait for it.
        hashlib = importlib.import_module("hashlib")
        digest: str = hashlib.blake2b(read_whole(path, SMALL_FILE), digest_size=16).hexdigest()
    except CkptError:
        digest = ""
    return OtherFile(path=name, size=size, digest=digest)
