"""From a checkpoint and operations to a plan.

The result, file by file and tensor by tensor, before a byte is written. No I/O.

The same checkpoint and operations give the same plan, and a plan gives the same bytes: tensors
stand in the order of the reference writer, widest dtype first, then by name. A weight file that no
operation touches is copied as it is.
"""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING, Any

from ckpt_tools.checkpoint import header, shard_index
from ckpt_tools.checkpoint.documents import state_names
from ckpt_tools.checkpoint.model import Checkpoint, Document, Tensor, TensorFile
from ckpt_tools.edit import file_operations, tensor_operations
from ckpt_tools.edit import operations as operations_of
from ckpt_tools.edit.draft import PlanDraft
from ckpt_tools.edit.file_operations import renumber
from ckpt_tools.edit.model import Copy, Piece, Plan, Text, Weights
from ckpt_tools.errors import NothingLeft
from ckpt_tools.strict_json.parse import parse_object

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from ckpt_tools.checkpoint.model import OtherFile, ShardIndex
    from ckpt_tools.edit.draft import Lookup
    from ckpt_tools.edit.model import Output, SourceFile, Step
    from ckpt_tools.edit.operations import Operation

    type OperationHandler = Callable[
        [PlanDraft, Any, Lookup], Step | None
    ]  # Any: the operation that it is listed under

_DIGEST_BYTES = 16

_DOING: dict[type, OperationHandler] = {
    operations_of.Drop: tensor_operations.drop,
    operations_of.Keep: tensor_operations.keep,
    operations_of.Rename: tensor_operations.rename,
    operations_of.Unwrap: tensor_operations.unwrap,
    operations_of.Cast: tensor_operations.cast,
    operations_of.Take: tensor_operations.take,
    operations_of.SetValue: file_operations.set_value,
    operations_of.UnsetValue: file_operations.unset_value,
    operations_of.RenameKey: file_operations.rename_key,
    operations_of.SetMetadata: file_operations.set_metadata,
    operations_of.Reshard: file_operations.reshard,
    operations_of.Merge: file_operations.merge,
    operations_of.DropFile: file_operations.drop_file,
    operations_of.CopyFile: file_operations.copy_file,
}
"""What does each operation."""


def plan(
    checkpoint: Checkpoint,
    operations: Iterable[Operation],
    lookup: Lookup,
    *,
    remains: tuple[str, ...] = (),
) -> Plan:
    """Return what `operations`, one after the other, make of `checkpoint`.

    Raises a EditRefused that says which of them cannot be done, and why.
    """
    draft = PlanDraft(checkpoint)
    todo = tuple(operations)
    done = [(operation, _DOING[type(operation)](draft, operation, lookup)) for operation in todo]
    steps = tuple(step for _, step in done if step is not None)
    if not draft.tensors:
        raise NothingLeft(
            "holds no tensor to begin with"
            if not checkpoint.tensors
            else "would be left without a tensor",
            path=checkpoint.root,
            hint="there is nothing to change",
        )
    renumber(draft)
    outputs = tuple(_outputs(draft))
    sources = _sources(checkpoint, outputs, lookup)
    after = _after(draft, outputs, lookup)
    return Plan(
        before=checkpoint,
        after=after,
        operations=todo,
        steps=steps,
        outputs=outputs,
        sources=sources,
        source_digest=source_digest(checkpoint, sources),
        result_digest=_digest(_spelled(output) for output in outputs),
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
    if (
        index
        and draft.index == index.path
        and dict(index.weight_map) == {name: held.shard for name, held in draft.tensors.items()}
    ):
        yield Copy(index.path, f"{checkpoint.root}/{index.path}", index.size)
    elif draft.index is not None:
        yield Text(draft.index, _index_text(draft))
    before = {document.path: document for document in checkpoint.documents}
    for path, text in draft.texts.items():
        same = path in before and before[path].text == text
        yield (
            Copy(path, f"{checkpoint.root}/{path}", len(text.encode()))
            if same
            else Text(path, text)
        )
    for path, source in draft.files.items():
        yield Copy(path, source, sizes.get(path, 0))


def _weights(draft: PlanDraft, shard: str) -> Weights:
    held = {name: tensor for name, tensor in draft.tensors.items() if tensor.shard == shard}
    placed = header.layout(
        Tensor(name, one.dtype, one.shape, shard, 0, one.nbytes) for name, one in held.items()
    )
    return Weights(
        shard,
        header.encode(placed, draft.metadata[shard]),
        tuple(Piece(tensor, held[tensor.name].source) for tensor in placed),
    )


def _index_text(draft: PlanDraft) -> str:
    """Return the index as transformers writes it."""
    weight_map = {name: held.shard for name, held in draft.tensors.items()}
    total = sum(held.nbytes for held in draft.tensors.values())
    return (
        json.dumps(
            {"metadata": {"total_size": total}, "weight_map": weight_map}, indent=2, sort_keys=True
        )
        + "\n"
    )


def _sources(
    checkpoint: Checkpoint, outputs: Sequence[Output], lookup: Lookup
) -> tuple[SourceFile, ...]:
    """Return the identity of every file that is read.

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
    names = sorted(output.path for output in outputs)
    written = {
        output.path: _tensor_file(draft, output)
        for output in outputs
        if isinstance(output, Weights)
    }
    weights = {file.path: file for file in before.weights} | written
    index = _index(draft, outputs)
    shards = shard_index.shards(index) if index else sorted(draft.metadata)
    documents = tuple(
        Document(path, draft.texts[path], dict(parse_object(draft.texts[path])))
        for path in names
        if path in draft.texts
    )
    states = tuple(path for path in state_names(documents) if path in draft.files)
    understood = {*shards, *states, *draft.texts, *([index.path] if index else [])}
    return Checkpoint(
        where="",
        root="",
        weights=tuple(weights[shard] for shard in shards),
        shard_index=index,
        states=tuple(_state(draft, path, lookup) for path in states),
        documents=documents,
        others=tuple(_other(draft, path, lookup) for path in names if path not in understood),
    )


def _tensor_file(draft: PlanDraft, output: Weights) -> TensorFile:
    tensors = tuple(piece.tensor for piece in output.pieces)
    return TensorFile(
        path=output.path,
        size=output.size,
        payload_start=len(output.header),
        tensors=tensors,
        metadata=draft.metadata[output.path],
    )


def _index(draft: PlanDraft, outputs: Sequence[Output]) -> ShardIndex | None:
    written = (
        output for output in outputs if isinstance(output, Text) and output.path == draft.index
    )
    return next(
        (shard_index.decode(output.text, output.path) for output in written),
        draft.checkpoint.shard_index if draft.index else None,
    )


def _state(draft: PlanDraft, path: str, lookup: Lookup) -> TensorFile:
    known = {
        file.path: file
        for file in draft.checkpoint.states
        if draft.files[path] == f"{draft.checkpoint.root}/{path}"
    }
    return known.get(path) or lookup.state(draft.files[path])._replace(path=path)


def _other(draft: PlanDraft, path: str, lookup: Lookup) -> OtherFile:
    known = {
        file.path: file
        for file in draft.checkpoint.others
        if draft.files[path] == f"{draft.checkpoint.root}/{path}"
    }
    return known.get(path) or lookup.other(draft.files[path])._replace(path=path)


def source_digest(checkpoint: Checkpoint, sources: Iterable[SourceFile]) -> str:
    """Return the digest of what a plan starts from.

    Sizes and times of its files, headers, texts.
    """
    tensors = (
        repr(
            (tensor.name, tensor.dtype.label, tensor.shape, tensor.shard, tensor.start, tensor.end)
        ).encode()
        for tensor in checkpoint.tensors
    )
    texts = (document.text.encode() for document in checkpoint.documents)
    return _digest((*(repr(tuple(source)).encode() for source in sources), *tensors, *texts))


def _spelled(output: Output) -> bytes:
    if isinstance(output, Weights):
        return output.path.encode() + output.header
    return repr((output.path, output.text if isinstance(output, Text) else output.size)).encode()


def _digest(parts: Iterable[bytes]) -> str:
    digest = hashlib.blake2b(digest_size=_DIGEST_BYTES)
    for part in parts:
        digest.update(len(part).to_bytes(8, "little") + part)
    return digest.hexdigest()
