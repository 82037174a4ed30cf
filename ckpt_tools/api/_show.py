"""The verb that summarizes a checkpoint."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ckpt_tools.api._composed import summarize_components
from ckpt_tools.api._paths import as_text
from ckpt_tools.checkpoint.composition import composition
from ckpt_tools.checkpoint.read import read
from ckpt_tools.diff.summary import summarize
from ckpt_tools.errors import UnknownSelection
from ckpt_tools.families.spellings import readability
from ckpt_tools.progress import Progress, ignore
from ckpt_tools.storage.files import remote_not_supported
from ckpt_tools.storage.session import hub_session, is_remote, transfer_stats

if TYPE_CHECKING:
    from collections.abc import Callable

    from ckpt_tools.api._paths import AnyPath
    from ckpt_tools.checkpoint.model import Checkpoint
    from ckpt_tools.diff.model import Summary
    from ckpt_tools.families.family import Unknown
    from ckpt_tools.families.spellings import Readability


@hub_session()
def show(  # noqa: PLR0913 - options by keyword
    where: AnyPath,
    *,
    lenient: bool = False,
    values: bool = False,
    cached: bool = True,
    progress: Callable[[int], None] = ignore,
    expect: Callable[[int], None] = ignore,
) -> Summary:
    """Return what the checkpoint at `where` is.

    Reads headers and configs only, unless `values` are wanted. Raises a CkptError that names the
    file. A pipeline is summarized by its components.

    `cached` uses what an earlier look at the same files left in the user's cache folder; `progress`
    is called with the bytes read since the last call, `expect` before with how many there are in
    all.
    """
    where = as_text(where)
    if values and is_remote(where):
        raise remote_not_supported(where)
    composed = composition(where)
    if composed is not None:
        if values:
            raise UnknownSelection(
                f"--values is for one model, and {composed.path} lists several",
                hint="name the folder of a component",
            )
        summary = summarize_components(composed, where, lenient=lenient)
        return summary._replace(transferred=transfer_stats())
    checkpoint = read(where, lenient=lenient)
    summary = summarize(checkpoint)._replace(transferred=transfer_stats())
    if not values:
        return summary
    from ckpt_tools.api import _values  # noqa: PLC0415 - slow to import, for values only

    measured = _values.measured(checkpoint, cached=cached, progress=Progress(progress, expect))
    return summary._replace(values=measured)


def readable_by(checkpoint: Checkpoint) -> Readability | Unknown:
    """Return which releases of its library read a checkpoint's tensors, judged by their names."""
    return readability(checkpoint)
