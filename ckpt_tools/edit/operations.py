"""The operations on a checkpoint; a recipe is a list of them.

Each operation is a type of its own: two operations of different types are never equal, whatever
their fields hold. What an operation does is in `tensor_operations` and `file_operations`.

Globs are those of `checkpoint.names`: `*` matches a part of one dotted segment, `**` any number of
segments. A glob that matches nothing is an error, unless the operation says `if_any`.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from ckpt_tools.checkpoint.dtype import Dtype

type Globs = tuple[str, ...]

EVERY: Globs = ("**",)


@dataclass(frozen=True, slots=True)
class Drop:
    """Remove the tensors that match any of the globs."""

    select: Globs
    if_any: bool = False


@dataclass(frozen=True, slots=True)
class Keep:
    """Remove every tensor that matches none of the globs."""

    select: Globs
    if_any: bool = False


@dataclass(frozen=True, slots=True)
class RenameTensors:
    r"""Rename the tensors whose names match `match` to `to`.

    The `*` and `**` of a glob are carried over to those of `to` in order; the groups of a regular
    expression are \1 and \g<name>. A name that is taken is an error, or with `if_free` the tensor
    keeps its name.
    """

    match: str
    to: str
    regex: bool = False
    if_free: bool = False
    if_any: bool = False


@dataclass(frozen=True, slots=True)
class Unwrap:
    """Remove the name segments that torch.compile, DataParallel and FSDP add.

    A tensor whose plain name is taken keeps its name.
    """


@dataclass(frozen=True, slots=True)
class Cast:
    """Store tensors as `dtype` if that is lossless.

    `lossy` rounds to the nearest, ties to even, and rejects values that would become infinite
    unless `infinite` allows them; `skip` leaves the tensors that could not be cast unchanged.
    """

    dtype: Dtype
    select: Globs = EVERY
    lossy: bool = False
    skip: bool = False
    infinite: bool = False
    if_any: bool = False


@dataclass(frozen=True, slots=True)
class Take:
    """Take tensors from the checkpoint at `source`; they replace tensors of the same name."""

    source: str
    select: Globs = EVERY
    if_any: bool = False


@dataclass(frozen=True, slots=True)
class SetValue:
    """Set the value at the JSON pointer `pointer` in the JSON file `file`.

    A new key is added at the end of its object.
    """

    file: str
    pointer: str
    value: object


@dataclass(frozen=True, slots=True)
class UnsetValue:
    """Remove the value at the JSON pointer `pointer` in the JSON file `file`, and its key."""

    file: str
    pointer: str


@dataclass(frozen=True, slots=True)
class RenameKey:
    """Rename the key at the JSON pointer `pointer` in the JSON file `file` to `to`.

    Its position and its value stay.
    """

    file: str
    pointer: str
    to: str


@dataclass(frozen=True, slots=True)
class SetMetadata:
    """Set a key of every weight file's `__metadata__`; None removes it."""

    key: str
    value: str | None


@dataclass(frozen=True, slots=True)
class Reshard:
    """Split the weights into shards of at most `max_size` bytes of payload, with an index.

    The files are named as the Hub names them. A larger tensor gets a shard of its own.
    """

    max_size: int


@dataclass(frozen=True, slots=True)
class Merge:
    """Merge all weights into one model.safetensors, without an index."""


@dataclass(frozen=True, slots=True)
class DropFile:
    """Remove the files, except weights and index, that match any of the globs."""

    select: Globs
    if_any: bool = False


@dataclass(frozen=True, slots=True)
class CopyFile:
    """Copy the file at `source` into the checkpoint as `path`, replacing a file of that name."""

    source: str
    path: str


type Operation = (
    Drop
    | Keep
    | RenameTensors
    | Unwrap
    | Cast
    | Take
    | SetValue
    | UnsetValue
    | RenameKey
    | SetMetadata
    | Reshard
    | Merge
    | DropFile
    | CopyFile
)


def with_local_source(operation: Operation, resolve: Callable[[str], str]) -> Operation:
    """Apply `resolve` to the path that an operation reads from, if it has one.

    Addresses such as hf://owner/name stay as they are.
    """
    if isinstance(operation, Take | CopyFile) and "://" not in operation.source:
        return replace(operation, source=resolve(operation.source))
    return operation
