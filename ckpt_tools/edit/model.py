"""A plan.

What will be done to a checkpoint, what it will be then, and where each byte of it comes from.
Nothing here does it.
"""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from ckpt_tools.checkpoint.model import Checkpoint, Source, Tensor
    from ckpt_tools.edit.operations import Operation


class Safety(StrEnum):
    """SAFE.

    The surviving payload stays as it is and nothing unique is lost, or a cast was proved to lose
    nothing. UNSAFE: values or unique data go.
    """

    SAFE = "safe"
    UNSAFE = "unsafe"


class Step(NamedTuple):
    """One thing that a plan does, in words.

    `tensors` and `nbytes` (as they are now) say how much it concerns; `details` are lines of it.
    """

    text: str
    safety: Safety
    tensors: int = 0
    nbytes: int = 0
    details: tuple[str, ...] = ()


class Piece(NamedTuple):
    """A tensor to be written, and where its payload comes from. A cast where the dtypes differ."""

    tensor: Tensor
    source: Source


class Weights(NamedTuple):
    """A .safetensors file to be written.

    `header` as bytes (length prefix and padding included), then the pieces, in payload order
    without a gap.
    """

    path: str
    header: bytes
    pieces: tuple[Piece, ...]

    @property
    def size(self) -> int:
        """Bytes of the file."""
        return len(self.header) + sum(piece.tensor.nbytes for piece in self.pieces)


class Text(NamedTuple):
    """A text file to be written in UTF-8."""

    path: str
    text: str

    @property
    def size(self) -> int:
        """Bytes of the file."""
        return len(self.text.encode())


class Copy(NamedTuple):
    """A file to be copied as it is from `source`.

    A folder and all in it where `path` ends in `/` (then `size` counts nothing).
    """

    path: str
    source: str
    size: int


type Output = Weights | Text | Copy


class SourceFile(NamedTuple):
    """A file that a plan reads, and what tells that it is still the same. `path` is absolute."""

    path: str
    size: int
    mtime_ns: int


class Plan(NamedTuple):
    """What turns `before` into `after`.

    `outputs` are all files of the result, by path relative to its root; a file of `before` that is
    not among them goes. `steps` is empty when nothing is to be done. `remains` are sentences on
    what is wrong and no operation repairs. `sources` are the files that must not change before and
    while the plan is applied. `source_digest` and `result_digest` are BLAKE2b in hexadecimal, over
    names, sizes, times and headers, and over names, headers and texts.
    """

    before: Checkpoint
    after: Checkpoint
    operations: tuple[Operation, ...]
    steps: tuple[Step, ...]
    outputs: tuple[Output, ...]
    sources: tuple[SourceFile, ...]
    source_digest: str
    result_digest: str
    remains: tuple[str, ...] = ()
    idle: tuple[Operation, ...] = ()

    @property
    def removed(self) -> tuple[str, ...]:
        """Paths of the files that go, relative to the root."""
        return tuple(sorted(set(self.before.paths) - {output.path for output in self.outputs}))


class Receipt(NamedTuple):
    """What a write read and wrote, file by file.

    (path relative to the root, size in bytes, SHA-256 in hexadecimal).
    """

    before: tuple[tuple[str, int, str], ...]
    after: tuple[tuple[str, int, str], ...]


class Written(NamedTuple):
    """What became of a plan.

    Where the result is, where the backup of what it replaced is, and files that were hard links and
    are files of their own now.
    """

    path: str
    backup: str | None = None
    detached: tuple[str, ...] = ()
