"""Comparing two checkpoints that have been read, aspect by aspect, into a Diff. No I/O."""

from __future__ import annotations

from array import array
from typing import TYPE_CHECKING

from ckpt_tools.checkpoint.documents import PROCESSORS, TRAIN_CONFIG
from ckpt_tools.checkpoint.dtype import Dtype
from ckpt_tools.checkpoint.names import EVERYTHING, Selection, value_address
from ckpt_tools.diff.model import Aspect, Diff, FileChange, ValueChange
from ckpt_tools.diff.renames import either_way, match
from ckpt_tools.storage.hub_name import HUB_ADDED_FILES, is_hub_name
from ckpt_tools.strict_json.parse import escape
from ckpt_tools.strict_json.pointer import ABSENT

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping

    from ckpt_tools.checkpoint.model import Checkpoint, OtherFile, Tensor, TensorFile
    from ckpt_tools.diff.model import Rename

ALL_ASPECTS = frozenset(Aspect)

_DOCUMENT_ASPECTS = {
    TRAIN_CONFIG: Aspect.TRAIN_CONFIG,
    **dict.fromkeys(
        (*PROCESSORS, "preprocessor_config.json", "processor_config.json"), Aspect.PROCESSORS
    ),
}
_ARRAY_CODES = {Dtype.F32: "f", Dtype.F64: "d", Dtype.I32: "i", Dtype.I64: "q", Dtype.U8: "B"}

type Neutral = Mapping[str, Collection[object]]
"""Addresses of config keys, each with the values that are equivalent there."""


def compare(
    a: Checkpoint,
    b: Checkpoint,
    *,
    aspects: Collection[Aspect] = ALL_ASPECTS,
    selection: Selection = EVERYTHING,
    neutral: Neutral | None = None,
) -> Diff:
    """Return the differences between `a` and `b` in `aspects`, for addresses in `selection`.

    `compare(b, a)` is the inverse. `neutral` lists equivalent values of config keys; such a change
    is listed with its reason and does not count as a difference.
    """
    only_a, only_b, renamed, pairs = _tensors(a, b, aspects, selection)
    return Diff(
        a=a,
        b=b,
        only_a=only_a,
        only_b=only_b,
        renamed=renamed,
        retyped=tuple(pair for pair in pairs if pair[0].dtype != pair[1].dtype)
        if Aspect.DTYPE in aspects
        else (),
        reshaped=tuple(pair for pair in pairs if pair[0].shape != pair[1].shape)
        if Aspect.SHAPE in aspects
        else (),
        values=tuple(
            change
            for change in _values(a, b, aspects, neutral or {})
            if value_address(change.path, change.pointer) in selection
        ),
        metadata=tuple(_metadata(a, b, selection)) if Aspect.METADATA in aspects else (),
        files=tuple(
            change
            for change in _files(a, b, selection)
            if Aspect.FILES in aspects or _aspect_of_one_sided(change, a, b) in aspects
        ),
        unread=tuple(_unread(a, b, selection)) if Aspect.FILES in aspects else (),
    )


def addresses(checkpoint: Checkpoint) -> Iterator[str]:
    """Yield the address of every tensor, metadata entry, config value and file in `checkpoint`."""
    yield from (tensor.name for tensor in checkpoint.tensors)
    yield from _listing(checkpoint)
    trees = {
        "__metadata__": _all_metadata(checkpoint),
        **_documents(checkpoint),
        **_states(checkpoint),
    }
    for path, tree in trees.items():
        yield from (value_address(path, pointer) for pointer in pointers(tree))


def comparable(
    a: Checkpoint, b: Checkpoint, selection: Selection = EVERYTHING
) -> tuple[tuple[tuple[Tensor, Tensor], ...], int]:
    """Return pairs of tensors of equal shape, renamed ones included, and the number without a pair.

    Pairs are (A's, B's), in B's order; the number counts tensors of both sides.
    """
    pairs = [
        pair for pair in _tensors(a, b, ALL_ASPECTS, selection)[3] if pair[0].shape == pair[1].shape
    ]
    place = {tensor.name: number for number, tensor in enumerate(b.tensors)}
    chosen = sum(tensor.name in selection for side in (a, b) for tensor in side.tensors)
    return tuple(sorted(pairs, key=lambda pair: place[pair[1].name])), chosen - 2 * len(pairs)


_LEAST_SHARED = 0.25
"""The share of the smaller model below which renamed tensors are chance: two architectures."""

type _Pairs = list[tuple[Tensor, Tensor]]


def _tensors(
    a: Checkpoint, b: Checkpoint, aspects: Collection[Aspect], selection: Selection
) -> tuple[tuple[Tensor, ...], tuple[Tensor, ...], tuple[Rename, ...], _Pairs]:
    """Return (only in A, only in B, renamed, pairs of the same tensor in both)."""
    in_a = {tensor.name: tensor for tensor in a.tensors if tensor.name in selection}
    in_b = {tensor.name: tensor for tensor in b.tensors if tensor.name in selection}
    pairs = [(tensor, in_b[name]) for name, tensor in in_a.items() if name in in_b]
    only_a = [tensor for name, tensor in in_a.items() if name not in in_b]
    only_b = [tensor for name, tensor in in_b.items() if name not in in_a]
    renamed = match(only_a, only_b)
    found = len(pairs) + sum(len(rename.pairs) for rename in renamed)
    if found < _LEAST_SHARED * min(len(in_a), len(in_b)):
        renamed = ()
    moved = [pair for rename in renamed for pair in rename.pairs]
    moved_a, moved_b = {a.name for a, _ in moved}, {b.name for _, b in moved}
    pairs = sorted((*pairs, *moved), key=either_way)
    if Aspect.KEYS not in aspects:
        return (), (), (), pairs
    return (
        tuple(sorted(tensor for tensor in only_a if tensor.name not in moved_a)),
        tuple(sorted(tensor for tensor in only_b if tensor.name not in moved_b)),
        renamed,
        pairs,
    )


def _values(
    a: Checkpoint, b: Checkpoint, aspects: Collection[Aspect], neutral: Neutral
) -> Iterator[ValueChange]:
    """Yield differing values of documents, then of processor state, whose tensors are small."""
    for trees, default in ((_documents, Aspect.CONFIG), (_states, Aspect.PROCESSORS)):
        in_a, in_b = trees(a), trees(b)
        for path in sorted(in_a.keys() & in_b.keys()):
            if _DOCUMENT_ASPECTS.get(path, default) in aspects:
                for pointer, left, right in differences(in_a[path], in_b[path]):
                    alike = neutral.get(value_address(path, pointer), ())
                    is_same = _in(left, alike) and _in(right, alike)
                    reason = "absent, false and null are equivalent" * is_same
                    yield ValueChange(path, pointer, left, right, reason)


def _documents(checkpoint: Checkpoint) -> dict[str, Mapping[str, object]]:
    return {document.path: document.value for document in checkpoint.documents}


def _states(checkpoint: Checkpoint) -> dict[str, Mapping[str, object]]:
    return {
        file.path: {tensor.name: _state_value(file, tensor) for tensor in file.tensors}
        for file in checkpoint.states
    }


def _in(value: object, values: Collection[object]) -> bool:
    """Whether `value` is in `values` by identity: 0 is not False."""
    return any(value is other for other in values)


def _state_value(file: TensorFile, tensor: Tensor) -> list[object]:
    """Return a state tensor as [dtype, shape, elements], in hexadecimal for dtypes Python lacks."""
    head: list[object] = [tensor.dtype.label, list(tensor.shape)]
    if file.payload is None:
        return head
    data = file.payload[tensor.start : tensor.end]
    code = _ARRAY_CODES.get(tensor.dtype)
    return [*head, array(code, data).tolist() if code else data.hex()]


def _metadata(a: Checkpoint, b: Checkpoint, selection: Selection) -> Iterator[ValueChange]:
    """Yield differing `__metadata__` entries; those of all shards are taken together."""
    in_a, in_b = _all_metadata(a), _all_metadata(b)
    for pointer, left, right in differences(in_a, in_b):
        if value_address("__metadata__", pointer) in selection:
            yield ValueChange(path="__metadata__", pointer=pointer, a=left, b=right)


def _all_metadata(checkpoint: Checkpoint) -> Mapping[str, object]:
    return {key: value for file in checkpoint.weights for key, value in file.metadata or ()}


def _files(a: Checkpoint, b: Checkpoint, selection: Selection) -> Iterator[FileChange]:
    """Yield files that only one side has, and differing files of unknown formats.

    The contents of known formats are compared as tensors, config values and metadata. The name of
    a weight file that was named itself is the user's, and no difference.
    """
    in_a, in_b = _listing(a), _listing(b)
    if a.is_single_file or b.is_single_file:
        for side, sizes in ((a, in_a), (b, in_b)):
            sizes.pop(side.weights[0].path if len(side.weights) == 1 else "", None)
    others = {file.path for side in (a, b) for file in side.others}
    by_content = {path: one.may_equal(two) for path, one, two in compared_by_content(a, b)}
    of_the_hub = {HUB_ADDED_FILES} if is_hub_name(a.root) != is_hub_name(b.root) else set()
    for path in sorted((in_a.keys() | in_b.keys()) - of_the_hub):
        both = path in in_a and path in in_b
        alike = both and by_content.get(path, path not in others)
        if not alike and path in selection:
            yield FileChange(path=path, a=in_a.get(path), b=in_b.get(path))


def _aspect_of_one_sided(change: FileChange, a: Checkpoint, b: Checkpoint) -> Aspect | None:
    """Return the aspect whose values a side lacks with a whole file; None for any other file."""
    if change.a is not None and change.b is not None:
        return None
    for side in (a, b):
        if any(document.path == change.path for document in side.documents):
            return _DOCUMENT_ASPECTS.get(change.path, Aspect.CONFIG)
        if any(file.path == change.path for file in side.states):
            return Aspect.PROCESSORS
    return None


def _unread(a: Checkpoint, b: Checkpoint, selection: Selection) -> Iterator[str]:
    """Yield files of one size on both sides whose contents nobody has read."""
    for path, file, other in compared_by_content(a, b) if a.root != b.root else ():
        if file.undecided(other) and path in selection:
            yield path


def compared_by_content(
    a: Checkpoint, b: Checkpoint
) -> Iterator[tuple[str, OtherFile, OtherFile | TensorFile]]:
    """Yield (path, file, the same of the other side) where a side does not know the format.

    A file of processor state is one that no processor of the other side may name.
    """
    tensors_a, tensors_b = (
        {file.path: file for file in (*one.weights, *one.states)} for one in (a, b)
    )
    others_a, others_b = ({file.path: file for file in side.others} for side in (a, b))
    for path, file in others_a.items():
        if other := others_b.get(path) or tensors_b.get(path):
            yield path, file, other
    for path, file in others_b.items():
        if other_a := None if path in others_a else tensors_a.get(path):
            yield path, file, other_a


def _listing(checkpoint: Checkpoint) -> dict[str, int]:
    """Return every file's size in bytes by path."""
    sizes = {file.path: file.size for file in (*checkpoint.weights, *checkpoint.states)}
    sizes |= {document.path: len(document.text.encode()) for document in checkpoint.documents}
    if checkpoint.shard_index is not None:
        sizes[checkpoint.shard_index.path] = checkpoint.shard_index.size
    return sizes | {file.path: file.size for file in checkpoint.others}


def differences(a: object, b: object, pointer: str = "") -> Iterator[tuple[str, object, object]]:
    """Yield (pointer, A's, B's) for every differing JSON value, ABSENT where a side lacks it.

    Lists are compared as a whole; 1, 1.0 and true all differ.
    """
    if isinstance(a, dict) and isinstance(b, dict):
        for key in sorted(a.keys() | b.keys()):
            yield from differences(
                a.get(key, ABSENT), b.get(key, ABSENT), f"{pointer}/{escape(key)}"
            )
    elif not _equal(a, b):
        yield pointer, a, b


def pointers(value: object, pointer: str = "") -> Iterator[str]:
    """Yield the pointer of every value that `differences` can report in `value`, root included."""
    yield pointer
    for key, item in value.items() if isinstance(value, dict) else ():
        yield from pointers(item, f"{pointer}/{escape(key)}")


def _equal(a: object, b: object) -> bool:
    """Whether two values are equal in type and value; NaN equals NaN."""
    if type(a) is not type(b):
        return False
    if isinstance(a, list) and isinstance(b, list):
        return len(a) == len(b) and all(map(_equal, a, b))
    if isinstance(a, dict) and isinstance(b, dict):
        return a.keys() == b.keys() and all(_equal(value, b[key]) for key, value in a.items())
    return a == b or (a != a and b != b)  # noqa: PLR0124 - only NaN differs from itself
