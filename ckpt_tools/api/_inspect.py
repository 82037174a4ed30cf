"""The verbs that read: diff, read."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ckpt_tools.api._other_files import LIMIT, with_contents
from ckpt_tools.api._paths import as_text, several, words
from ckpt_tools.checkpoint import read as reader
from ckpt_tools.checkpoint.documents import CONFIG
from ckpt_tools.checkpoint.names import Selection, value_address
from ckpt_tools.diff.change_kind import change_in_structure
from ckpt_tools.diff.compare import ALL_ASPECTS, addresses, compare
from ckpt_tools.diff.groups import group_differences, shared_family, watched_lines
from ckpt_tools.diff.model import Aspect, Comparison
from ckpt_tools.diff.rename_patterns import patterns
from ckpt_tools.diff.summary import summarize
from ckpt_tools.errors import UnknownSelection
from ckpt_tools.progress import Progress, ignore
from ckpt_tools.storage.files import remote_not_supported
from ckpt_tools.storage.session import hub_session, is_remote, transfer_stats

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

    from ckpt_tools.api._paths import AnyPath
    from ckpt_tools.checkpoint.model import Checkpoint
    from ckpt_tools.diff.model import Diff


def read(where: AnyPath, *, lenient: bool = False) -> Checkpoint:
    """Read the checkpoint at `where`: headers, index and small text files only.

    `where` is a folder, a weight file, a LeRobot run or a repository on the Hub. `lenient` accepts
    files that the safetensors library accepts although they violate its specification, and an index
    that disagrees with its shards. Raises a CkptError that names the file.
    """
    return reader.read(as_text(where), lenient=lenient)


@hub_session()
def diff(  # noqa: PLR0913 - options by keyword
    a: AnyPath,
    b: AnyPath,
    *,
    aspects: Collection[Aspect | str] = ALL_ASPECTS,
    select: Collection[str] = (),
    ignore: Collection[str] = (),
    lenient: bool = False,
    values: bool = False,
    tolerance: float = 0.0,
    cached: bool = True,
    progress: Callable[[int], None] = ignore,
    expect: Callable[[int], None] = ignore,
) -> Comparison:
    """Return what differs between the checkpoints at `a` and `b`, and what that amounts to.

    Reads headers, configs and other small files only, unless `values` compares tensor values too;
    both have to be local then. `aspects` are what to compare, by default everything: keys, dtype,
    shape, config, train-config, processors, metadata, files. `select` and `ignore` are globs of
    what to compare and what not: a tensor's name, a file's path, or a JSON file and its keys, such
    as `config.num_steps` or `train_config.**`; `*` matches within one dotted segment, `**` any
    number of segments. `lenient` accepts files that the safetensors library accepts although they
    violate its specification.

    With `values`, `tolerance` is the relative L2 norm of the change up to which a tensor counts as
    equal (0.01 is one percent), and `cached` uses and keeps results in the user's cache folder.
    `expect` is called with the number of bytes to read, then `progress` with those read since its
    last call. Raises a CkptError that names the file, or UnknownSelection for an aspect that does
    not exist and a `select` that matches nothing.
    """
    wanted = _known(words(aspects))
    select, ignore = several(select), several(ignore)
    a, b = as_text(a), as_text(b)
    afar = next((where for where in (a, b) if values and is_remote(where)), "")
    if afar:
        raise remote_not_supported(afar)
    left, right = with_contents(
        read(a, lenient=lenient),
        read(b, lenient=lenient),
        limit=None if values else LIMIT,
    )
    selection = Selection(select, ignore)
    found = compare(
        left,
        right,
        aspects=wanted,
        selection=selection,
        neutral=shared_family(left, right).neutral,
    )
    if select:
        _refuse_empty(selection, select, left, right)
    done = _comparison(found, wanted, selection)
    if values:
        from ckpt_tools.api import _values  # noqa: PLC0415 - slow to import, for values only

        changes = _values.compared(
            left, right, selection, tolerance, cached=cached, progress=Progress(progress, expect)
        )
        change = _values.change_of(left, right, changes, done.change, cached=cached)
        done = done._replace(changes=changes, change=change)
    return done._replace(select=select, ignore=ignore)


_STRUCTURE = frozenset({Aspect.KEYS, Aspect.DTYPE, Aspect.SHAPE})


def _comparison(found: Diff, aspects: Collection[Aspect], selection: Selection) -> Comparison:
    """Return the differences with what they amount to, without those of values."""
    is_whole = set(aspects) >= _STRUCTURE
    return Comparison(
        diff=found,
        a=summarize(found.a),
        b=summarize(found.b),
        watched=tuple(
            line
            for line in watched_lines(found.a, found.b)
            if Aspect.CONFIG in aspects and value_address(CONFIG, f"/{line.key}") in selection
        ),
        stories=group_differences(found),
        aspects=tuple(aspect for aspect in Aspect if aspect in aspects),
        select=(),
        ignore=(),
        changes=None,
        transferred=transfer_stats(),
        renaming=patterns(
            (tensor.name for tensor in found.b.tensors),
            {b.name: a.name for rename in found.renamed for a, b in rename.pairs},
        ),
        change=change_in_structure(found, selection) if is_whole else None,
    )


def _known(aspects: Collection[str]) -> tuple[Aspect, ...]:
    """Return aspects by name; UnknownSelection for one that does not exist."""
    if unknown := [one for one in aspects if one not in ALL_ASPECTS]:
        raise UnknownSelection(
            f"no such aspect: {', '.join(unknown)}", hint=f"choose from {', '.join(Aspect)}"
        )
    return tuple(map(Aspect, aspects))


def _refuse_empty(selection: Selection, select: tuple[str, ...], *sides: Checkpoint) -> None:
    """Raise UnknownSelection if nothing in either checkpoint is selected."""
    if not any(address in selection for side in sides for address in addresses(side)):
        raise UnknownSelection(
            f"nothing in either matches {', '.join(select)}",
            hint="`ckpt show --tree` prints the names; * stands for one segment, ** for several",
        )
