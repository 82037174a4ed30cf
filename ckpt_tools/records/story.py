"""What a diff amounts to, told in sentences: the nouns behind the first screen of `ckpt diff`."""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, NamedTuple

from ckpt_tools.records.diff import Aspect

if TYPE_CHECKING:
    from ckpt_tools.records.diff import Diff
    from ckpt_tools.records.remote import Transfer
    from ckpt_tools.records.summary import Summary


class StoryKind(StrEnum):
    """What a story is about."""

    COPY = "copy"
    RENAMED = "renamed"
    MISSING = "missing"
    EXTRA = "extra"
    DTYPE = "dtype"
    SHAPE = "shape"


class Story(NamedTuple):
    """Tensors that differ in one and the same way.

    `text` says what, `remark` why or what it leads to ("" where nothing is known). `harmful` is whether B's loader goes wrong because of it.
    `names` are folded, `nbytes` is what B has more than A.
    """

    kind: StoryKind
    text: str
    remark: str
    harmful: bool
    tensors: int
    nbytes: int
    names: tuple[str, ...]


class WatchedLine(NamedTuple):
    """A config key that always has its line: its values on both sides, what the loader does with each, whether each is fine and they mean the same."""

    key: str
    a: object
    b: object
    fine_a: bool
    fine_b: bool
    remark_a: str
    remark_b: str
    verdict: str


class Comparison(NamedTuple):
    """A diff with both summaries and what they amount to: what `ckpt diff` shows. `aspects`, `select` and `ignore` are what was asked for.

    `transferred` is what reading took, where one of them is on the Hub.
    """

    diff: Diff
    a: Summary
    b: Summary
    watched: tuple[WatchedLine, ...]
    stories: tuple[Story, ...]
    aspects: tuple[Aspect, ...]
    select: tuple[str, ...] = ()
    ignore: tuple[str, ...] = ()
    transferred: Transfer | None = None

    @property
    def partial(self) -> bool:
        """Whether something was left out on request."""
        return bool(self.select or self.ignore) or len(self.aspects) < len(Aspect)
