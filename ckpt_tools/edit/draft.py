"""A checkpoint between operations: what they change, and what the plan is made from. No I/O."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from ckpt_tools.checkpoint.header import nbytes
from ckpt_tools.checkpoint.model import Source
from ckpt_tools.checkpoint.names import fold
from ckpt_tools.edit.model import PlanStep, Safety

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable

    from ckpt_tools.checkpoint.dtype import Dtype
    from ckpt_tools.checkpoint.model import Checkpoint, Tensor, TensorFile

type Metadata = tuple[tuple[str, str], ...] | None


class DraftTensor(NamedTuple):
    """A tensor of the draft: its new dtype, shape and weight file, and its present payload."""

    dtype: Dtype
    shape: tuple[int, ...]
    shard: str
    source: Source

    @property
    def nbytes(self) -> int:
        """Bytes of the new payload."""
        return nbytes(self.dtype, self.shape)


class PlanDraft:
    """The state between operations, which they modify; `checkpoint` is the state before the first.

    `tensors` by name. `metadata` and `shards` by weight file; a shard in `intact` is copied
    unchanged. `texts` are the JSON files by path, `files` the paths from which the other files are
    copied. `index` is the index file's path, None for a checkpoint without.
    """

    def __init__(self, checkpoint: Checkpoint) -> None:
        self.checkpoint = checkpoint
        self.tensors: dict[str, DraftTensor] = {}
        self.metadata: dict[str, Metadata] = {
            file.path: file.metadata for file in checkpoint.weights
        }
        self.intact = set(self.metadata)
        for file in checkpoint.weights:
            for tensor in file.tensors:
                self.take(checkpoint.root, file, tensor, file.path)
        self.index = checkpoint.shard_index.path if checkpoint.shard_index else None
        self.texts = {document.path: document.text for document in checkpoint.documents}
        self.files = {
            file.path: f"{checkpoint.root}/{file.path}"
            for files in (checkpoint.states, checkpoint.others)
            for file in files
        }

    def take(self, root: str, file: TensorFile, tensor: Tensor, shard: str) -> None:
        """Add a tensor of a weight file in the folder `root`, to be written to `shard`."""
        start, end = file.payload_start + tensor.start, file.payload_start + tensor.end
        source = Source(f"{root}/{file.path}", start, end, tensor.dtype)
        self.tensors[tensor.name] = DraftTensor(tensor.dtype, tensor.shape, shard, source)

    def touch(self, *shards: str) -> None:
        """Mark these weight files to be written anew."""
        self.intact.difference_update(shards)

    def step(
        self,
        text: str,
        names: Collection[str],
        *,
        unsafe: bool = False,
        details: Iterable[str] | None = None,
    ) -> PlanStep:
        """Describe a change to the tensors `names`, whose folded names are the default details."""
        sources = [self.tensors[name].source for name in names]
        return PlanStep(
            text,
            Safety.UNSAFE if unsafe else Safety.SAFE,
            len(names),
            sum(source.end - source.start for source in sources),
            _folded(names) if details is None else tuple(details),
        )


def _folded(names: Iterable[str]) -> tuple[str, ...]:
    """Return a line for each group of names that differ in numbers only."""
    return tuple(
        f"{name} ({count:,})" if count > 1 else name for name, count in fold(names).items()
    )
