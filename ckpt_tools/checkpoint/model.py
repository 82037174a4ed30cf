"""The records of a checkpoint.

Tensors by their headers, JSON files by text and value, all other files by name and size. Paths are
relative to the checkpoint's root and written with `/`; sizes are bytes. No I/O.
"""

from __future__ import annotations

from math import prod
from typing import TYPE_CHECKING, NamedTuple

from ckpt_tools.text import count

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

    Tensors are in payload order, `__metadata__` in file order (None if absent). `payload_start` is
    the file offset of the first payload byte. `payload` has the bytes of a small file of processor
    state, and is None otherwise. The hashes are those of an `OtherFile`, "" until a comparison with
    one needs them.
    """

    path: str
    size: int
    payload_start: int
    tensors: tuple[Tensor, ...]
    metadata: tuple[tuple[str, str], ...] | None
    payload: bytes | None = None
    sha256: str = ""
    git_id: str = ""

    @property
    def aliases(self) -> tuple[tuple[str, str], ...]:
        """(alias, kept name) of tensors that shared memory when they were saved.

        `save_model` of safetensors keeps one of their names, and lists the others in the metadata.
        """
        names = {tensor.name for tensor in self.tensors}
        return tuple(
            (key, value)
            for key, value in self.metadata or ()
            if value in names and key not in names
        )


class ShardIndex(NamedTuple):
    """A `*.safetensors.index.json`.

    (tensor, shard) in the index's order, the total size it states (None if absent), and the other
    entries of its metadata.
    """

    path: str
    size: int
    weight_map: tuple[tuple[str, str], ...]
    total_size: int | None
    metadata: tuple[tuple[str, object], ...] = ()


class Document(NamedTuple):
    """A JSON file whose values are compared: its exact text and the object in it."""

    path: str
    text: str
    value: dict[str, object]

    def __hash__(self) -> int:
        """Hash the text, since the value is not hashable."""
        return hash((self.path, self.text))


class OtherFile(NamedTuple):
    """A file that is compared by its content only.

    `sha256` and git's id of the content are "" if unknown: a large file is not read for them.
    """

    path: str
    size: int
    sha256: str = ""
    git_id: str = ""

    def may_equal(self, other: OtherFile | TensorFile) -> bool:
        """Whether the sizes are equal, and the sums that both have."""
        sums = ((self.sha256, other.sha256), (self.git_id, other.git_id))
        return self.size == other.size and all(a == b for a, b in sums if a and b)

    def undecided(self, other: OtherFile | TensorFile) -> bool:
        """Whether only the contents, of which no sum is known on both sides, tell them apart."""
        sums = ((self.sha256, other.sha256), (self.git_id, other.git_id))
        return 0 < self.size == other.size and not any(a and b for a, b in sums)


class Checkpoint(NamedTuple):
    """The contents of a folder or a single file, without the payload of its tensors.

    `where` is the path as given, `root` the folder found there. `weights` are the model's tensor
    files, `states` those that processor pipelines name.
    """

    where: str
    root: str
    weights: tuple[TensorFile, ...]
    shard_index: ShardIndex | None = None
    states: tuple[TensorFile, ...] = ()
    documents: tuple[Document, ...] = ()
    others: tuple[OtherFile, ...] = ()

    def __repr__(self) -> str:
        """Summarize in one line: its records may be hundreds of thousands."""
        files, tensors = count(len(self.paths), "file"), count(len(self.tensors), "tensor")
        return f"<Checkpoint {self.where!r}: {tensors}, {count(self.size, 'byte')}, {files}>"

    @property
    def tensors(self) -> tuple[Tensor, ...]:
        """Every tensor of the model, shard by shard in payload order."""
        if len(self.weights) == 1:
            return self.weights[0].tensors
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
    def is_single_file(self) -> bool:
        """Whether `where` names a weight file, not a folder."""
        return len(self.paths) == 1 == len(self.weights) and self.where.endswith(self.paths[0])

    @property
    def step_or_where(self) -> str:
        """`where`, but for a LeRobot run the folder of the step that was found in it."""
        is_run = self.root.startswith(f"{self.where.rstrip('/')}/")
        return self.root if is_run and self.root.endswith("/pretrained_model") else self.where

    @property
    def size(self) -> int:
        """Bytes of the model's tensor files, headers included."""
        return sum(file.size for file in self.weights)

    def document(self, path: str) -> Document | None:
        """The JSON file of that name, None if there is none."""
        return next((document for document in self.documents if document.path == path), None)

    def value(self, path: str) -> dict[str, object]:
        """The object in the JSON file of that name, an empty one if there is none."""
        document = self.document(path)
        return document.value if document else {}


class Source(NamedTuple):
    """The payload of a tensor: bytes `start` to `end` (exclusive) of `file`, read as `dtype`."""

    file: str
    start: int
    end: int
    dtype: Dtype
