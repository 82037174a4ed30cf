"""Planning: predict the result of operations on a checkpoint, file by file. No I/O.

The same checkpoint and operations give the same plan, and a plan gives the same bytes: tensors
are written in the order of the reference writer, widest dtype first, then by name. A weight file
that no operation changes is copied.
"""

from __future__ import annotations

import hashlib
import json
from math import prod
from typing import TYPE_CHECKING, Any

from ckpt_tools.checkpoint import header, shard_index
from ckpt_tools.checkpoint.documents import state_names
from ckpt_tools.checkpoint.model import Checkpoint, Document, Tensor, TensorFile
from ckpt_tools.edit import file_operations, tensor_operations
from ckpt_tools.edit import operations as nouns
from ckpt_tools.edit.draft import PlanDraft
from ckpt_tools.edit.model import Copy, Output, Piece, Plan, PlanStep, SourceFile, Text, Weights
from ckpt_tools.errors import NothingLeft
from ckpt_tools.strict_json.parse import parse_object

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from ckpt_tools.checkpoint.model import OtherFile, ShardIndex
    from ckpt_tools.edit.lookup import Lookup
    from ckpt_tools.edit.operations import Operation

_DIGEST_BYTES = 16

# Any: the operation whose type is the key.
_HANDLERS: Mapping[type, Callable[[PlanDraft, Any, Lookup], PlanStep | None]] = {
    nouns.Drop: tensor_operations.drop,
    nouns.Keep: tensor_operations.keep,
    nouns.RenameTensors: tensor_operations.rename,
    nouns.Unwrap: tensor_operations.unwrap,
    nouns.Cast: tensor_operations.cast,
    nouns.Take: tensor_operations.take,
    nouns.SetValue: file_operations.set_value,
    nouns.UnsetValue: file_operations.unset_value,
    nouns.RenameKey: file_operations.rename_key,
    nouns.SetMetadata: file_operations.set_metadata,
    nouns.Reshard: file_operations.reshard,
    nouns.Merge: file_operations.merge,
    nouns.DropFile: file_operations.drop_file,
    nouns.CopyFile: file_operations.copy_file,
}


def plan(
    checkpoint: Checkpoint,
    operations: Iterable[Operation],
    lookup: Lookup,
    *,
    remains: tuple[str, ...] = (),
) -> Plan:
    """Plan `operations`, applied to `checkpoint` one after the other.

    Raises EditRefused with the reason why one of them is not possible.
    """
    draft = PlanDraft(checkpoint)
    done = [
        (operation, _HANDLERS[type(operation)](draft, operation, lookup))
        for operation in operations
    ]
    if not draft.tensors:
        raise NothingLeft(
            "the result would have no tensors",
            path=checkpoint.root,
            hint="keep at least one, or take some from another checkpoint",
        )
    file_operations.renumber(draft)
    outputs = tuple(_outputs(draft))
    sources = _sources(checkpoint, outputs, lookup)
    return Plan(
        before=checkpoint,
        after=_after(draft, outputs, lookup),
        operations=tuple(operation for operation, _ in done),
        steps=tuple(step for _, step in done if step is not None),
        outputs=outputs,
        sources=sources,
        source_digest=source_digest(checkpoint, sources),
        result_digest=_digest(map(_identifying, outputs)),
        remains=remains,
        idle=tuple(operation for operation, step in done if step is None),
    )


def _outputs(draft: PlanDraft) -> Iterator[Output]:
    checkpoint = draft.checkpoint
    sizes = {
        file.path: file.size
        for files in (checkpoint.weights, checkpoint.states, checkpoint.others)
        for file in files
    }
    for shard in draft.metadata:
        yield (
            Copy(shard, f"{checkpoint.root}/{shard}", sizes[shard])
            if shard in draft.intact
            else _weights(draft, shard)
        )
    index = checkpoint.shard_index
    weight_map = {name: tensor.shard for name, tensor in draft.tensors.items()}
    if index and draft.index == index.path and dict(index.weight_map) == weight_map:
        yield Copy(index.path, f"{checkpoint.root}/{index.path}", index.size)
    elif draft.index is not None:
        yield Text(draft.index, _index_text(draft, weight_map))
    before = {document.path: document.text for document in checkpoint.documents}
    for path, text in draft.texts.items():
        yield (
            Copy(path, f"{checkpoint.root}/{path}", len(text.encode()))
            if before.get(path) == text
            else Text(path, text)
        )
    for path, source in draft.files.items():
        yield Copy(path, source, sizes.get(path, 0))


def _weights(draft: PlanDraft, shard: str) -> Weights:
    tensors = {name: tensor for name, tensor in draft.tensors.items() if tensor.shard == shard}
    placed = header.layout(
        Tensor(name, one.dtype, one.shape, shard, 0, one.nbytes) for name, one in tensors.items()
    )
    return Weights(
        shard,
        header.encode(placed, draft.metadata[shard]),
        tuple(Piece(tensor, tensors[tensor.name].source) for tensor in placed),
    )


def _index_text(draft: PlanDraft, weight_map: Mapping[str, str]) -> str:
    """Write the index as transformers does, with the metadata of the former index."""
    before = draft.checkpoint.shard_index
    metadata = dict(before.metadata if before else ())
    metadata["total_size"] = sum(tensor.nbytes for tensor in draft.tensors.values())
    if "total_parameters" in metadata:
        metadata["total_parameters"] = sum(prod(one.shape) for one in draft.tensors.values())
    index = {"metadata": metadata, "weight_map": weight_map}
    return json.dumps(index, indent=2, sort_keys=True) + "\n"


def _sources(
    checkpoint: Checkpoint, outputs: Sequence[Output], lookup: Lookup
) -> tuple[SourceFile, ...]:
    """Return the identities of all files to read.

    Those of the checkpoint, and those that tensors or files are taken from.
    """
    paths = [f"{checkpoint.root}/{path}" for path in checkpoint.paths]
    paths += [
        piece.source.file
        for output in outputs
        if isinstance(output, Weights)
        for piece in output.pieces
    ]
    paths += [output.source for output in outputs if isinstance(output, Copy)]
    found = (lookup.identity(path) for path in dict.fromkeys(paths) if not path.endswith("/"))
    return tuple(source for source in found if source is not None)


def _after(draft: PlanDraft, outputs: Sequence[Output], lookup: Lookup) -> Checkpoint:
    before = draft.checkpoint
    weights = {file.path: file for file in before.weights} | {
        output.path: _tensor_file(draft, output)
        for output in outputs
        if isinstance(output, Weights)
    }
    index = _index(draft, outputs)
    shards = shard_index.shards(index) if index else sorted(draft.metadata)
    names = sorted(output.path for output in outputs)
    documents = tuple(
        Document(path, draft.texts[path], dict(parse_object(draft.texts[path])))
        for path in names
        if path in draft.texts
    )
    states = tuple(path for path in state_names(documents) if path in draft.files)
    read = {*shards, *states, *draft.texts, *([index.path] if index else [])}
    others = (path for path in names if path not in read)
    return Checkpoint(
        where="",
        root="",
        weights=tuple(weights[shard] for shard in shards),
        shard_index=index,
        states=tuple(_copied(draft, path, before.states, lookup.state) for path in states),
        documents=documents,
        others=tuple(_copied(draft, path, before.others, lookup.other) for path in others),
    )


def _tensor_file(draft: PlanDraft, output: Weights) -> TensorFile:
    return TensorFile(
        path=output.path,
        size=output.size,
        payload_start=len(output.header),
        tensors=tuple(piece.tensor for piece in output.pieces),
        metadata=draft.metadata[output.path],
    )


def _index(draft: PlanDraft, outputs: Sequence[Output]) -> ShardIndex | None:
    for output in outputs:
        if isinstance(output, Text) and output.path == draft.index:
            return shard_index.decode(output.text, output.path)
    return draft.checkpoint.shard_index if draft.index else None


def _copied[File: (TensorFile, OtherFile)](
    draft: PlanDraft, path: str, before: Sequence[File], read: Callable[[str], File]
) -> File:
    """Return a file that is copied: as it was in the checkpoint, or read from where it is now."""
    source = draft.files[path]
    stays = source == f"{draft.checkpoint.root}/{path}"
    known = next((file for file in before if stays and file.path == path), None)
    return known or read(source)._replace(path=path)


def bound_to(plan: Plan, contents: Mapping[str, str]) -> Plan:
    """Return a plan that is for files of these contents, SHA-256 by path, whatever their times."""
    sources = tuple(
        source._replace(sha256=contents.get(source.path, "")) for source in plan.sources
    )
    return plan._replace(sources=sources, source_digest=source_digest(plan.before, sources))


def source_digest(checkpoint: Checkpoint, sources: Iterable[SourceFile]) -> str:
    """Return the digest of sizes and times (or contents) of the files, of headers and of texts."""
    tensors = (
        repr(
            (tensor.name, tensor.dtype.label, tensor.shape, tensor.shard, tensor.start, tensor.end)
        ).encode()
        for tensor in checkpoint.tensors
    )
    texts = (document.text.encode() for document in checkpoint.documents)
    files = (
        repr((source.path, source.size, source.sha256 or source.mtime_ns)).encode()
        for source in sources
    )
    return _digest((*files, *tensors, *texts))


def _identifying(output: Output) -> bytes:
    if isinstance(output, Weights):
        return output.path.encode() + output.header
    return repr((output.path, output.text if isinstance(output, Text) else output.size)).encode()


def _digest(parts: Iterable[bytes]) -> str:
    digest = hashlib.blake2b(digest_size=_DIGEST_BYTES)
    for part in parts:
        digest.update(len(part).to_bytes(8, "little") + part)
    return digest.hexdigest()
