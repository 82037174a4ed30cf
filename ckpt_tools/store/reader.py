"""Reading a checkpoint: headers, index and small text files of a local folder into a `Checkpoint`. Payload is not read, except for processor state."""

from __future__ import annotations

import importlib
import os
from typing import TYPE_CHECKING

from ckpt_tools.errors import CkptError, FormatError, NothingThere, PathEscapes, ShardMissing
from ckpt_tools.format import header, shard_index
from ckpt_tools.format.json_text import decode_utf8, parse_object
from ckpt_tools.records.checkpoint import Checkpoint, Document, OtherFile, TensorFile
from ckpt_tools.store.files import open_regular, read_at, read_whole, size_of
from ckpt_tools.store.locate import Location, locate

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from ckpt_tools.records.checkpoint import ShardIndex

DOCUMENTS = frozenset(
    {
        "adapter_config.json",
        "config.json",
        "generation_config.json",
        "policy_postprocessor.json",
        "policy_preprocessor.json",
        "preprocessor_config.json",
        "processor_config.json",
        "train_config.json",
    }
)
"""JSON files whose values are compared. Others (vocabularies, for the most part) are compared as files."""

PROCESSORS = ("policy_preprocessor.json", "policy_postprocessor.json")
"""LeRobot's processor pipelines; their steps may name a state file."""

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
        others=tuple(_other(location.root, name) for name in location.names if name not in understood),
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
            yield _tensor_file(location.root, name, lenient=lenient)
        except NothingThere:
            if index is None:
                raise
            msg = f"names the shard {name!r}, which is not there"
            raise ShardMissing(msg, path=os.path.join(location.root, index.path)) from None


def _tensor_file(root: str, name: str, *, lenient: bool, keep_payload: bool = False) -> TensorFile:
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
    for name in dict.fromkeys(_state_names(location, documents)):
        if os.path.isfile(os.path.join(location.root, name)):
            yield _tensor_file(location.root, name, lenient=lenient, keep_payload=True)


def _state_names(location: Location, documents: Iterable[Document]) -> Iterator[str]:
    for document in documents:
        steps = document.value.get("steps") if document.path in PROCESSORS else None
        for step in steps if isinstance(steps, list) else ():
            name = step.get("state_file") if isinstance(step, dict) else None
            if isinstance(name, str) and shard_index.leaves_folder(name):
                msg = f"names the state file {name!r}, outside the folder"
                raise PathEscapes(msg, path=os.path.join(location.root, document.path))
            if isinstance(name, str):
                yield name


def _other(root: str, name: str) -> OtherFile:
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
