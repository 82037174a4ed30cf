"""What can be done to a checkpoint, one noun an operation; a recipe is a list of them.

Nothing here does anything.

Globs are those of `compare.selection`: `*` stands for a part of one dotted segment, `**` for any
number of segments.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from ckpt_tools.checkpoint.dtype import Dtype

type Globs = tuple[str, ...]

EVERY: Globs = ("**",)


class Drop(NamedTuple):
    """Leave out the tensors that one of the globs names."""

    select: Globs


class Keep(NamedTuple):
    """Leave out every tensor that none of the globs names."""

    select: Globs


class Rename(NamedTuple):
    r"""Give tensors other names: what `match` names becomes `to`.

    In a glob's `to`, `*` and `**` stand in turn for what those of `match` stood for; in a regular
    expression's, \1 and \g<name> do. A name that is taken is an error, or with `if_free` a reason
    to leave the tensor as it is.
    """

    match: str
    to: str
    regex: bool = False
    if_free: bool = False


class Unwrap(NamedTuple):
    """Remove the segments from names that torch.compile, DataParallel and FSDP put there.

    A name that is taken is left as it is.
    """


class Cast(NamedTuple):
    """Store tensors as `dtype`.

    Where that loses nothing, or with `lossy` rounded to the nearest, ties to even. With `skip`,
    leave the others alone.
    """

    dtype: Dtype
    select: Globs = EVERY
    lossy: bool = False
    skip: bool = False


class Take(NamedTuple):
    """Take tensors from the checkpoint at `source`, in place of those of the same name or beside the others."""

    source: str
    select: Globs = EVERY


class SetValue(NamedTuple):
    """Set the value at the JSON pointer `pointer` in the JSON file `path`.

    A key that is not there is added at the end of its object.
    """

    path: str
    pointer: str
    value: object


class UnsetValue(NamedTuple):
    """Remove the value at the JSON pointer `pointer` in the JSON file `path`, its key with it."""

    path: str
    pointer: str


class RenameKey(NamedTuple):
    """Give the key at the JSON pointer `pointer` in the JSON file `path` the name `to`, at its place and with its value."""

    path: str
    pointer: str
    to: str


class SetMetadata(NamedTuple):
    """Set a key of every weight file's `__metadata__`; None removes it."""

    key: str
    value: str | None


class Reshard(NamedTuple):
    """Split the weights into files of at most `max_bytes` of payload with an index, named as the Hub names them; a larger tensor gets its own."""

    max_bytes: int


class Merge(NamedTuple):
    """Put all weights into one model.safetensors, without an index."""


class DropFile(NamedTuple):
    """Leave out the other files (neither weights nor index) that one of the globs names."""

    select: Globs


class CopyFile(NamedTuple):
    """Put the file at `source` into the checkpoint as `path`, in place of what has that name."""

    source: str
    path: str


type Operation = (
    Drop
    | Keep
    | Rename
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
