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

    Reads headers and configs only, unless `values` measures tensor values too. A pipeline is
    summarized by its components. `lenient` accepts files that the safetensors library accepts
    although they violate its specification. With `values`, `cached` uses and keeps results in the
    user's cache folder; `expect` is called with the number of bytes to read, then `progress` with
    those read since its last call. Raises a CkptError that names the file.
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
    """Return which releases of its library read the tensors of `checkpoint`, by their names."""
    return readability(checkpoint)
