"""Reading a checkpoint, on the disk or on the Hub.

Headers, index and small text files into a `Checkpoint`. Payload is not read, except for processor
state.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from ckpt_tools.checkpoint import header, shard_index
from ckpt_tools.checkpoint.documents import DOCUMENTS, state_names
from ckpt_tools.checkpoint.locate import Location, locate
from ckpt_tools.checkpoint.model import Checkpoint, Document, OtherFile, TensorFile
from ckpt_tools.errors import ChangedDuringRead, CkptError, FormatError, PathNotFound, ShardMissing
from ckpt_tools.storage.digests import sums_of
from ckpt_tools.storage.paths import LENGTH_BYTES
from ckpt_tools.storage.storage import HEADER_GUESS, LOCAL, LocalFile
from ckpt_tools.strict_json.parse import decode_utf8, parse_object

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from ckpt_tools.checkpoint.model import ShardIndex
    from ckpt_tools.storage.storage import ReadableFile, Storage

DOCUMENT_LIMIT = 4 << 20
INDEX_LIMIT = 64 << 20
"""Configs have kilobytes; the index of 100,000 tensors has 10 MB.

Larger files are not parsed: a hostile one costs twenty times its size.
"""

SMALL_FILE = 1 << 20
"""Files up to this size are read on a first look.

Processor state in full, others for their sums.
"""

_ENTRY = 90
_HEADER_SPARE = 1024
"""Characters of a header beside names: an entry's dtype, shape and offsets.

Metadata and padding.
"""


def read(where: str, *, lenient: bool = False) -> Checkpoint:
    """Return the checkpoint that `where` names, headers, index and small text files only.

    `lenient` reads what the safetensors library reads against its own specification, and an index
    that disagrees with its shards. Raises a CkptError that names the file.
    """
    location = locate(where)
    index = _index(location)
    location.place.expect(_wanted(location, index))
    weights = tuple(_weights(location, index, lenient=lenient))
    _check_shards(location, index, weights, lenient=lenient)
    documents = tuple(_documents(location))
    states = tuple(_states(location, documents, lenient=lenient))
    understood = (
        {file.path for file in (*weights, *states)}
        | {document.path for document in documents}
        | {location.index_file}
    )
    return Checkpoint(
        where=where,
        root=location.root,
        weights=weights,
        shard_index=index,
        states=states,
        documents=documents,
        others=tuple(
            other_file(location.root, name, location.place)
            for name in location.names
            if name not in understood
        ),
    )


def _index(location: Location) -> ShardIndex | None:
    if location.index_file is None:
        return None
    path = os.path.join(location.root, location.index_file)
    data = location.place.whole(path, INDEX_LIMIT)
    try:
        return shard_index.decode(decode_utf8(data), location.index_file)
    except FormatError as error:
        raise error.at(path) from None


def _wanted(location: Location, index: ShardIndex | None) -> Iterator[tuple[str, int]]:
    """Yield what is read next.

    The start of each weight file, by how long its header may be, and the documents in whole.
    """
    lengths: dict[str, int] = {}
    for name, shard in index.weight_map if index else ():
        lengths[shard] = lengths.get(shard, _HEADER_SPARE) + len(name) + _ENTRY
    for name in location.weights if index is None else shard_index.shards(index):
        yield os.path.join(location.root, name), lengths.get(name, HEADER_GUESS)
    for name in location.names:
        if name in DOCUMENTS:
            path = os.path.join(location.root, name)
            yield path, min(location.place.size(path), DOCUMENT_LIMIT)


def _weights(
    location: Location, index: ShardIndex | None, *, lenient: bool
) -> Iterator[TensorFile]:
    for name in location.weights if index is None else shard_index.shards(index):
        try:
            yield tensor_file(location.root, name, location.place, lenient=lenient)
        except PathNotFound:
            if index is None:
                raise
            raise ShardMissing(
                f"names the shard {name!r}, which is not there",
                path=os.path.join(location.root, index.path),
            ) from None


def tensor_file(
    root: str,
    name: str,
    place: Storage = LOCAL,
    *,
    lenient: bool = False,
    keep_payload: bool = False,
) -> TensorFile:
    """Return what the header of the .safetensors file `name` in the folder `root` says.

    With `keep_payload`, a small one's payload too.
    """
    path = os.path.join(root, name)
    with place.opened(path) as file:
        return _decoded(file, path, name, lenient=lenient, keep_payload=keep_payload)


def _decoded(
    file: ReadableFile, path: str, name: str, *, lenient: bool, keep_payload: bool = False
) -> TensorFile:
    size = file.size
    try:
        length = header.header_length(file.read(min(size, LENGTH_BYTES), 0), size)
        text = file.read(length, LENGTH_BYTES)
        start = LENGTH_BYTES + length
        decoded = header.decode(text, size - start, shard=name, lenient=lenient)
    except FormatError as error:
        raise error.at(path) from None
    payload = file.read(size - start, start) if keep_payload and size <= SMALL_FILE else None
    return TensorFile(
        path=name,
        size=size,
        payload_start=start,
        tensors=decoded.tensors,
        metadata=decoded.metadata,
        payload=payload,
    )


def refuse_other(file: TensorFile, descriptor: int, path: str) -> None:
    """Raise ChangedDuringRead unless the open file at `path` has the header that `file` was read from: else tensors would be sought where they are not."""
    size = os.fstat(descriptor).st_size
    if size < file.size:
        raise ChangedDuringRead("became shorter while it was read", path=path)
    try:
        now = _decoded(LocalFile(descriptor, size, path), path, file.path, lenient=True)
    except FormatError:
        now = None
    if now is None or (now.size, now.payload_start, now.tensors) != (
        file.size,
        file.payload_start,
        file.tensors,
    ):
        raise ChangedDuringRead("is not the file any more whose header was read", path=path)


def _check_shards(
    location: Location, index: ShardIndex | None, weights: tuple[TensorFile, ...], *, lenient: bool
) -> None:
    lacking = shard_index.lacking(location.weights) if location.whole_folder else ""
    if lacking:
        raise ShardMissing(f"the shard {lacking} is not here", path=location.root)
    if lenient:
        return
    path = os.path.join(location.root, index.path) if index else location.root
    for error in (
        shard_index.disagreements(index, weights, location.names)
        if index
        else shard_index.doubles(weights)
    ):
        raise error.at(path)


def _documents(location: Location) -> Iterator[Document]:
    for name in location.names:
        if name.removesuffix("/") in DOCUMENTS:
            path = os.path.join(location.root, name.removesuffix("/"))
            try:
                text = decode_utf8(location.place.whole(path, DOCUMENT_LIMIT))
                yield Document(path=name, text=text, value=dict(parse_object(text)))
            except FormatError as error:
                raise error.at(path) from None


def _states(
    location: Location, documents: Iterable[Document], *, lenient: bool
) -> Iterator[TensorFile]:
    """Yield the state files that processors name and the folder holds, each once."""
    try:
        names = state_names(documents)
    except FormatError as error:
        error.path = os.path.join(location.root, error.path)
        raise
    paths = {name: os.path.join(location.root, name) for name in names}
    location.place.expect((path, SMALL_FILE) for path in paths.values())
    for name, path in paths.items():
        if location.place.is_file(path):
            yield tensor_file(
                location.root, name, location.place, lenient=lenient, keep_payload=True
            )


def other_file(root: str, name: str, place: Storage = LOCAL) -> OtherFile:
    """Return the size, and for a small file the sums, of the file `name` in the folder `root`.

    A name ending in `/` is a folder.
    """
    path = os.path.join(root, name)
    if name.endswith("/"):
        return OtherFile(path=name, size=0)
    size, (sha256, git_id) = place.size(path), place.sums(path)
    if size > SMALL_FILE or sha256 or git_id:
        return OtherFile(path=name, size=size, sha256=sha256, git_id=git_id)
    try:
        data = place.whole(path, SMALL_FILE)
    except CkptError:
        return OtherFile(path=name, size=size)
    return OtherFile(name, size, *sums_of(data))
