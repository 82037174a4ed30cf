"""The nouns of a plan: its steps, the files it writes, the files it reads, and the result.

No I/O. Outputs are types of their own: a `Text` never equals a `Copy`.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, NamedTuple

from ckpt_tools.text import count

if TYPE_CHECKING:
    from ckpt_tools.checkpoint.model import Checkpoint, Source, Tensor
    from ckpt_tools.edit.operations import Operation


class Safety(StrEnum):
    """Whether a step removes data.

    SAFE: the remaining payload is unchanged and no unique data is removed, or a cast was proved
    lossless. UNSAFE: tensor values or unique data are removed.
    """

    SAFE = "safe"
    UNSAFE = "unsafe"


class PlanStep(NamedTuple):
    """One change of a plan, described for a reader.

    `tensors` and `nbytes` count the tensors concerned and their present bytes; `details` are lines.
    """

    text: str
    safety: Safety
    tensors: int = 0
    nbytes: int = 0
    details: tuple[str, ...] = ()


class Piece(NamedTuple):
    """A tensor to write and the source of its payload; a cast where the dtypes differ."""

    tensor: Tensor
    source: Source


@dataclass(frozen=True, slots=True)
class Weights:
    """A .safetensors file to write.

    `header` is its bytes (length prefix and padding included); the pieces follow in payload order
    without a gap.
    """

    path: str
    header: bytes
    pieces: tuple[Piece, ...]

    @property
    def size(self) -> int:
        """Bytes of the file."""
        return len(self.header) + sum(piece.tensor.nbytes for piece in self.pieces)


@dataclass(frozen=True, slots=True)
class Text:
    """A text file to write in UTF-8."""

    path: str
    text: str

    @property
    def size(self) -> int:
        """Bytes of the file."""
        return len(self.text.encode())


@dataclass(frozen=True, slots=True)
class Copy:
    """A file to copy unchanged from `source`.

    A folder and its contents if `path` ends in `/`; its size is then 0.
    """

    path: str
    source: str
    size: int


type Output = Weights | Text | Copy


class SourceFile(NamedTuple):
    """A file that a plan reads, with the size and time that show a change. `path` is absolute.

    With the `sha256` of its content, in hexadecimal, another time is no change.
    """

    path: str
    size: int
    mtime_ns: int
    sha256: str = ""


class Plan(NamedTuple):
    """The change that turns `before` into `after`.

    `outputs` are all files of the result, by path relative to its root; a file of `before` that is
    not among them is removed. `steps` is empty if nothing changes. `remains` describes problems
    that no operation repairs. `sources` are the files that must not change before the plan has been
    applied. `source_digest` and `result_digest` are BLAKE2b in hexadecimal: over names, sizes,
    times (or contents) and headers, and over names, headers and texts. `idle` are the operations
    that changed nothing.
    """

    before: Checkpoint
    after: Checkpoint
    operations: tuple[Operation, ...]
    steps: tuple[PlanStep, ...]
    outputs: tuple[Output, ...]
    sources: tuple[SourceFile, ...]
    source_digest: str
    result_digest: str
    remains: tuple[str, ...] = ()
    idle: tuple[Operation, ...] = ()

    def __repr__(self) -> str:
        """Summarize in one line."""
        steps, remains = count(len(self.steps), "step"), count(len(self.remains), "problem")
        left = f", {remains} not repaired" * bool(self.remains)
        return f"<Plan for {self.before.where!r}: {steps}{left}>"

    def __eq__(self, other: object) -> bool:
        """Whether two plans do the same to the same files, however their paths were given."""
        return isinstance(other, Plan) and tuple(_unplaced(self)) == tuple(_unplaced(other))

    def __ne__(self, other: object) -> bool:
        """Whether two plans are not equal: a tuple's own would compare the paths as given, too."""
        return not self == other

    def __hash__(self) -> int:
        """Hash by the digests, which agree for equal plans."""
        return hash((self.source_digest, self.result_digest))

    @property
    def removed(self) -> tuple[str, ...]:
        """Paths of the removed files, relative to the root."""
        return tuple(sorted(set(self.before.paths) - {output.path for output in self.outputs}))


def _unplaced(plan: Plan) -> Plan:
    """Return a plan without the path that its checkpoint was given by."""
    return plan._replace(before=plan.before._replace(where=""))


class Receipt(NamedTuple):
    """The files that a write read and wrote, each as (relative path, bytes, SHA-256 in hex)."""

    before: tuple[tuple[str, int, str], ...]
    after: tuple[tuple[str, int, str], ...]


class Written(NamedTuple):
    """The outcome of applying a plan.

    `path` is the result, `backup` the folder of replaced files, `detached` the files that were hard
    links and are files of their own now, `undo` the command that undoes it, empty without a backup.
    """

    path: str
    backup: str | None = None
    detached: tuple[str, ...] = ()
    undo: str = ""
