"""Progress of long work, in bytes: the total once it is known, then what is done."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable


def ignore(_: int) -> None:
    """Do nothing."""


class Progress(NamedTuple):
    """Two callbacks: `expect` gets the total first, `advance` the bytes since its last call."""

    advance: Callable[[int], None] = ignore
    expect: Callable[[int], None] = ignore


SILENT = Progress()
