"""What differs between two checkpoints, A and B, structurally: a noun that can be inverted, filtered and rendered.

Empty tuples everywhere mean that nothing differs. Values of tensors are not part of it, except those of processor state.
"""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from ckpt_tools.records.checkpoint import Checkpoint, Tensor


class Aspect(StrEnum):
    """What can be compared; `ckpt diff --only` takes these names."""

    KEYS = "keys"
    DTYPE = "dtype"
    SHAPE = "shape"
    CONFIG = "config"
    TRAIN_CONFIG = "train-config"
    PROCESSORS = "processors"
    METADATA = "metadata"
    FILES = "files"


class Absent:
    """The value of a key that is not there, as opposed to null. There is one, ABSENT."""

    __slots__ = ()

    def __repr__(self) -> str:
        """Return the word that reports use."""
        return "absent"

    def __reduce__(self) -> str:
        """Stay one object across processes."""
        return "ABSENT"


ABSENT = Absent()


class RenameKind(StrEnum):
    """How names on the two sides of a rename are related."""

    PREFIX = "prefix"
    WRAPPER = "wrapper"
    LAYER_OFFSET = "layer offset"
    SUBTREE = "subtree"


class Rename(NamedTuple):
    """Tensors that are in both under different names: `old` is what A has where B has `new` (either may be empty), pairs as (A's, B's)."""

    kind: RenameKind
    old: str
    new: str
    pairs: tuple[tuple[Tensor, Tensor], ...]

    def inverse(self) -> Rename:
        """The same rename seen from B."""
        return Rename(kind=self.kind, old=self.new, new=self.old, pairs=tuple((b, a) for a, b in self.pairs))


class ValueChange(NamedTuple):
    """One value that differs: in `path` at the JSON pointer `pointer`, `a` in A and `b` in B; ABSENT where there is none.

    `same_because` says why the two mean the same (absent, false and null of a reserved key); such a change is no difference.
    """

    path: str
    pointer: str
    a: object
    b: object
    same_because: str = ""


class FileChange(NamedTuple):
    """A file that is in one only (None for the other's size) or that differs in size or content. Sizes in bytes."""

    path: str
    a: int | None
    b: int | None


class Diff(NamedTuple):
    """Everything that differs. `retyped` and `reshaped` hold (A's, B's) tensors, renamed ones included."""

    a: Checkpoint
    b: Checkpoint
    only_a: tuple[Tensor, ...] = ()
    only_b: tuple[Tensor, ...] = ()
    renamed: tuple[Rename, ...] = ()
    retyped: tuple[tuple[Tensor, Tensor], ...] = ()
    reshaped: tuple[tuple[Tensor, Tensor], ...] = ()
    values: tuple[ValueChange, ...] = ()
    metadata: tuple[ValueChange, ...] = ()
    files: tuple[FileChange, ...] = ()

    @property
    def same(self) -> bool:
        """Whether nothing differs."""
        tensors = self.only_a or self.only_b or self.renamed or self.retyped or self.reshaped
        values = any(not change.same_because for change in (*self.values, *self.metadata))
        return not (tensors or values or self.files)

    def inverse(self) -> Diff:
        """The same differences seen from B."""
        return Diff(
            a=self.b,
            b=self.a,
            only_a=self.only_b,
            only_b=self.only_a,
            renamed=tuple(rename.inverse() for rename in self.renamed),
            retyped=tuple((b, a) for a, b in self.retyped),
            reshaped=tuple((b, a) for a, b in self.reshaped),
            values=tuple(change._replace(a=change.b, b=change.a) for change in self.values),
            metadata=tuple(change._replace(a=change.b, b=change.a) for change in self.metadata),
            files=tuple(change._replace(a=change.b, b=change.a) for change in self.files),
        )
