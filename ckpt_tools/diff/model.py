"""Records of a comparison: the structural Diff of two checkpoints A and B, groups, summaries.

Empty tuples everywhere mean that nothing differs. Tensor values are not part of a Diff, except
those of processor state.
"""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, NamedTuple

from ckpt_tools.text import count

if TYPE_CHECKING:
    from ckpt_tools.checkpoint.model import Checkpoint, Tensor
    from ckpt_tools.diff.change_kind import Change
    from ckpt_tools.storage.hub_name import Transfer
    from ckpt_tools.values.model import ValueComparison, ValueSummary


class Aspect(StrEnum):
    """An aspect to compare; `ckpt diff --only` takes these names."""

    KEYS = "keys"
    DTYPE = "dtype"
    SHAPE = "shape"
    CONFIG = "config"
    TRAIN_CONFIG = "train-config"
    PROCESSORS = "processors"
    METADATA = "metadata"
    FILES = "files"


class RenameKind(StrEnum):
    """The relation between the names of a rename."""

    PREFIX = "prefix"
    WRAPPER = "wrapper"
    LAYER_OFFSET = "layer offset"
    SUBTREE = "subtree"


class Rename(NamedTuple):
    """Tensors that both checkpoints have under different names, as (A's, B's) pairs.

    `old` is the part of A's names that is `new` in B; either may be empty.
    """

    kind: RenameKind
    old: str
    new: str
    pairs: tuple[tuple[Tensor, Tensor], ...]

    def inverse(self) -> Rename:
        """The same rename seen from B."""
        return Rename(
            kind=self.kind, old=self.new, new=self.old, pairs=tuple((b, a) for a, b in self.pairs)
        )


class ValueChange(NamedTuple):
    """A differing JSON value: in file `path` at `pointer`, `a` in A and `b` in B, or ABSENT.

    `same_because` is the reason why the two are equivalent (absent, false and null of a reserved
    key); such a change does not count as a difference.
    """

    path: str
    pointer: str
    a: object
    b: object
    same_because: str = ""


class FileChange(NamedTuple):
    """A file that one side lacks (size None), or that differs. Sizes in bytes."""

    path: str
    a: int | None
    b: int | None


class Diff(NamedTuple):
    """All structural differences; `retyped` and `reshaped` are (A's, B's), renamed ones too.

    `unread` are files of one size whose contents were not compared.
    """

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
    unread: tuple[str, ...] = ()

    def __repr__(self) -> str:
        """Summarize in one line."""
        outcome = "same" if self.same else "different"
        return f"<Diff of {self.a.where!r} and {self.b.where!r}: {outcome}>"

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
            unread=self.unread,
        )


class StoryKind(StrEnum):
    """What a story is about."""

    COPY = "copy"
    RENAMED = "renamed"
    MISSING = "missing"
    EXTRA = "extra"
    DTYPE = "dtype"
    SHAPE = "shape"


class DifferenceGroup(NamedTuple):
    """Tensors that differ in one and the same way.

    `text` says what, `remark` why or what it leads to ("" where nothing is known). `harmful` is
    whether B's loader goes wrong because of it. `names` are folded, `nbytes` is what B has more
    than A.
    """

    kind: StoryKind
    text: str
    remark: str
    harmful: bool
    tensors: int
    nbytes: int
    names: tuple[str, ...]


class WatchedLine(NamedTuple):
    """A config key that always has its line.

    Its values on both sides, what the loader does with each, whether each is fine and they mean the
    same.
    """

    key: str
    a: object
    b: object
    fine_a: bool
    fine_b: bool
    remark_a: str
    remark_b: str
    verdict: str


class Comparison(NamedTuple):
    """A diff with both summaries and what they amount to: what `ckpt diff` shows.

    `aspects`, `select` and `ignore` are what was asked for.

    `changes` is what differs in the tensors' values, None where nobody asked. `change` is the kind
    of change, None where too little was compared to say. `transferred` is what reading took, where
    one of them is on the Hub.
    """

    diff: Diff
    a: Summary
    b: Summary
    watched: tuple[WatchedLine, ...]
    stories: tuple[DifferenceGroup, ...]
    aspects: tuple[Aspect, ...]
    select: tuple[str, ...] = ()
    ignore: tuple[str, ...] = ()
    changes: ValueComparison | None = None
    transferred: Transfer | None = None
    renaming: tuple[tuple[str, str], ...] = ()
    change: Change | None = None

    def __repr__(self) -> str:
        """Summarize in one line."""
        groups = f"different, {count(len(self.stories), 'group')} of tensors"
        where = f"{self.diff.a.where!r} and {self.diff.b.where!r}"
        return f"<Comparison of {where}: {'same' if self.same else groups}>"

    @property
    def same(self) -> bool:
        """Whether nothing differs in what was compared, values included where they were."""
        return self.diff.same and (self.changes is None or self.changes.same)

    @property
    def partial(self) -> bool:
        """Whether something was left out on request."""
        return bool(self.select or self.ignore) or len(self.aspects) < len(Aspect)


class Group(NamedTuple):
    """Tensors of one component, or of one dtype.

    How many, of how many parameters and bytes of payload.

    `dtypes` are (name, tensors) pairs. `trains` is None where the config does not tell.
    """

    key: str
    title: str
    tensors: int
    parameters: int
    nbytes: int
    dtypes: tuple[tuple[str, int], ...]
    trains: bool | None = None


class Setting(NamedTuple):
    """A config value worth showing.

    `fine` is None where no verdict is known, and `remark` says what the loader does with it.
    """

    key: str
    value: object
    fine: bool | None = None
    remark: str = ""


class Processor(NamedTuple):
    """A processor pipeline.

    Its file, its steps by name, how it normalises each kind of feature, and the state files it
    names (name, is it there).
    """

    path: str
    steps: tuple[str, ...]
    modes: tuple[tuple[str, str], ...]
    states: tuple[tuple[str, bool], ...]


class Summary(NamedTuple):
    """A checkpoint summarized by its family.

    `profile` says how its dtypes came about, "" if unknown; `remarks` say what keeps it from
    loading. `sums` are totals over several components. `values` are the measured tensor values,
    None unless requested; `transferred` is what was read from the Hub.
    """

    checkpoint: Checkpoint
    family: str
    profile: str
    remarks: tuple[str, ...]
    components: tuple[Group, ...]
    dtypes: tuple[Group, ...]
    settings: tuple[Setting, ...]
    processors: tuple[Processor, ...]
    sums: tuple[Group, ...] = ()
    values: ValueSummary | None = None
    transferred: Transfer | None = None

    def __repr__(self) -> str:
        """Summarize in one line."""
        counts = f"{count(self.tensors, 'tensor')}, {count(self.parameters, 'parameter')}"
        return f"<Summary of {self.checkpoint.where!r}: {self.family}, {counts}>"

    @property
    def tensors(self) -> int:
        """Number of tensors."""
        return sum(group.tensors for group in self.components)

    @property
    def parameters(self) -> int:
        """Number of parameters: elements of all tensors."""
        return sum(group.parameters for group in self.components)

    @property
    def trainable(self) -> int | None:
        """Number of parameters that the config lets train.

        None where that is unknown for some component.
        """
        if any(group.trains is None for group in self.components):
            return None
        return sum(group.parameters for group in self.components if group.trains)
