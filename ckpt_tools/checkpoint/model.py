"""A checkpoint as it lies in its folder.

Tensors by their headers, JSON files by text and value, everything else by name and size.

Paths are relative to the checkpoint's root and written with `/`. Sizes are bytes. Nothing here
reads a file.
"""

from __future__ import annotations

from math import prod
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from ckpt_tools.checkpoint.dtype import Dtype


class Tensor(NamedTuple):
    """One tensor's header entry.

    `start` and `end` count from the first payload byte of the file `shard`, end exclusive.
    """

    name: str
    dtype: Dtype
    shape: tuple[int, ...]
    shard: str
    start: int
    end: int

    @property
    def nbytes(self) -> int:
        """Bytes of payload."""
        return self.end - self.start

    @property
    def parameters(self) -> int:
        """Number of elements; 1 for a scalar."""
        return prod(self.shape)


class TensorFile(NamedTuple):
    """One .safetensors file.

    Its tensors in payload order and its `__metadata__` in file order (None where the file has
    none).

    `payload_start` is the file offset of the first payload byte. `payload` holds the bytes
    themselves for small files of processor state, and is None everywhere else.
    """

    path: str
    size: int
    payload_start: int
    tensors: tuple[Tensor, ...]
    metadata: tuple[tuple[str, str], ...] | None
    payload: bytes | None = None

    @property
    def aliases(self) -> tuple[tuple[str, str], ...]:
        """(alias, kept name) of tensors that shared storage when they were saved.

        Safetensors' `save_model` keeps one name of them.
        """
        names = {tensor.name for tensor in self.tensors}
        return tuple(
            (key, value)
            for key, value in self.metadata or ()
            if value in names and key not in names
        )


class ShardIndex(NamedTuple):
    """A `*.safetensors.index.json`.

    Which shard each tensor is in, in the index's order, and the total size it claims (None if it
    claims none).
    """

    path: str
    size: int
    weight_map: tuple[tuple[str, str], ...]
    total_size: int | None


class Document(NamedTuple):
    """A JSON file that is understood: its text, byte for byte, and the object it spells.

    Equal when the texts are.
    """

    path: str
    text: str
    value: dict[str, object]

    def __hash__(self) -> int:
        """Hash by the text: the value follows from it."""
        return hash((self.path, self.text))


class OtherFile(NamedTuple):
    """A file that is compared but not understood.

    `sha256` and git's id of the content are "" where they are not known without reading too much.
    """

    path: str
    size: int
    sha256: str = ""
    git_id: str = ""

    def may_equal(self, other: OtherFile) -> bool:
        """Whether size and every sum that both have are the same."""
        sums = ((self.sha256, other.sha256), (self.git_id, other.git_id))
        return self.size == other.size and all(a == b for a, b in sums if a and b)


class Checkpoint(NamedTuple):
    """Everything a folder (or a single file) holds, as far as headers and small text files tell.

    `where` is what the user named, `root` the folder it led to. `weights` are the model's tensor
    files; `states` the tensor files that processor JSON files name.
    """

    where: str
    root: str
    weights: tuple[TensorFile, ...]
    shard_index: ShardIndex | None = None
    states: tuple[TensorFile, ...] = ()
    documents: tuple[Document, ...] = ()
    others: tuple[OtherFile, ...] = ()

    @property
    def tensors(self) -> tuple[Tensor, ...]:
        """Every tensor of the model, shard by shard in payload order."""
        return tuple(tensor for file in self.weights for tensor in file.tensors)

    @property
    def paths(self) -> tuple[str, ...]:
        """Every file, folders with a trailing `/`."""
        return (
            *(file.path for file in (*self.weights, *self.states)),
            *((self.shard_index.path,) if self.shard_index else ()),
            *(document.path for document in self.documents),
            *(file.path for file in self.others),
        )

    @property
    def size(self) -> int:
        """Bytes of the model's tensor files, headers included."""
        return sum(file.size for file in self.weights)

    def document(self, path: str) -> Document | None:
        """The JSON file of that name, None where there is none."""
        return next((document for document in self.documents if document.path == path), None)


class Source(NamedTuple):
    """Where a tensor's payload lies now.

    Bytes `start` to `end` of `file` (counted from the file's first byte, end exclusive), read as
    `dtype`.
    """

    file: str
    start: int
    end: int
    dtype: Dtype
