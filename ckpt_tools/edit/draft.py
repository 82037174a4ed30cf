"""A checkpoint on its way from one state to the next.

What operations change, and what a plan is made of in the end. No I/O.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple, Protocol

from ckpt_tools.checkpoint.header import nbytes
from ckpt_tools.checkpoint.model import Source

if TYPE_CHECKING:
    from collections.abc import Iterable

    from ckpt_tools.checkpoint.dtype import Dtype
    from ckpt_tools.checkpoint.model import Checkpoint, OtherFile, TensorFile
    from ckpt_tools.edit.model import SourceFile

type Metadata = tuple[tuple[str, str], ...] | None


class Lookup(Protocol):
    """What planning asks of the world. The store answers; tests answer from memory."""

    def read(self, where: str) -> Checkpoint:
        """Return the checkpoint at `where`."""

    def loses_nothing(self, source: Source, dtype: Dtype) -> bool:
        """Whether every value in `source` survives being stored as `dtype`, bit for bit."""

    def identity(self, path: str) -> SourceFile | None:
        """Return what tells whether the file at `path` is still the same, None for a link that leads nowhere."""

    def text(self, path: str) -> str:
        """Return the text of the JSON file at `path`."""

    def state(self, path: str) -> TensorFile:
        """Return the file of processor state at `path`."""

    def other(self, path: str) -> OtherFile:
        """Return the file at `path` as one that is not understood."""


class DraftTensor(NamedTuple):
    """A tensor of the draft.

    Its shape, the dtype and the weight file it will have, and where its payload lies now.
    """

    dtype: Dtype
    shape: tuple[int, ...]
    shard: str
    source: Source

    @property
    def nbytes(self) -> int:
        """Bytes of payload that it will have."""
        return nbytes(self.dtype, self.shape)


class PlanDraft:
    """The state between operations. Operations write to it; `checkpoint` is what it began as.

    `tensors` by name. `metadata` and `shards` by weight file; a shard in `intact` is copied as it
    is. `texts` are the JSON files by path, `files` the paths from which the other files are copied.
    `index` is the index file's path, None for a checkpoint without.
    """

    def __init__(self, checkpoint: Checkpoint) -> None:
        root = checkpoint.root
        self.checkpoint = checkpoint
        self.tensors: dict[str, DraftTensor] = {}
        self.metadata: dict[str, Metadata] = {}
        self.intact: set[str] = {file.path for file in checkpoint.weights}
        self.add(root, checkpoint.weights)
        self.index = checkpoint.shard_index.path if checkpoint.shard_index else None
        self.texts: dict[str, str] = {
            document.path: document.text for document in checkpoint.documents
        }
        self.files: dict[str, str] = {
            file.path: f"{root}/{file.path}"
            for files in (checkpoint.states, checkpoint.others)
            for file in files
        }

    def add(self, root: str, files: Iterable[TensorFile]) -> None:
        """Hold the tensors and metadata of weight files in the folder `root`."""
        for file in files:
            self.metadata[file.path] = file.metadata
            for tensor in file.tensors:
                self.tensors[tensor.name] = DraftTensor(
                    tensor.dtype,
                    tensor.shape,
                    file.path,
                    source_of(root, file, tensor.start, tensor.end, tensor.dtype),
                )

    def touch(self, *shards: str) -> None:
        """Note that these weight files will be written anew."""
        self.intact.difference_update(shards)

    def nbytes(self, names: Iterable[str]) -> int:
        """Bytes of payload that tensors have now."""
        return sum(
            self.tensors[name].source.end - self.tensors[name].source.start for name in names
        )


def source_of(root: str, file: TensorFile, start: int, end: int, dtype: Dtype) -> Source:
    """Return where payload bytes `start` to `end` of a file in the folder `root` lie."""
    return Source(
        f"{root}/{file.path}", file.payload_start + start, file.payload_start + end, dtype
    )
