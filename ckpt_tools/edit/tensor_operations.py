"""Operations on tensors: drop, keep, rename, unwrap, cast, take.

Each changes a draft and tells what it did, None for nothing.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from ckpt_tools.checkpoint.dtype import FLOATS
from ckpt_tools.checkpoint.header import nbytes
from ckpt_tools.checkpoint.header_entry import named
from ckpt_tools.checkpoint.names import Selection, fold, unwrapped
from ckpt_tools.edit.draft import DraftTensor, source_of
from ckpt_tools.edit.model import Safety, Step
from ckpt_tools.edit.operations import EVERY
from ckpt_tools.edit.renaming import renamer, time_limit
from ckpt_tools.errors import CastLossy, EditRefused, NameTaken, NothingLeft, RecipeInvalid

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from ckpt_tools.checkpoint.dtype import Dtype
    from ckpt_tools.edit.draft import Lookup, PlanDraft
    from ckpt_tools.edit.operations import Cast, Drop, Globs, Keep, Rename, Take, Unwrap
    from ckpt_tools.edit.renaming import Renamer


def drop(draft: PlanDraft, operation: Drop, _lookup: Lookup) -> Step | None:
    """Leave out what the globs name."""
    return _leave_out(
        draft,
        _chosen(draft, operation.select),
        operation.select,
        f"drop {_words(operation.select)}",
    )


def keep(draft: PlanDraft, operation: Keep, _lookup: Lookup) -> Step | None:
    """Leave out what the globs do not name."""
    kept = set(_chosen(draft, operation.select))
    return _leave_out(
        draft,
        [name for name in draft.tensors if name not in kept],
        (),
        f"keep {_words(operation.select)} only",
    )


def _leave_out(draft: PlanDraft, names: list[str], aliases: Globs, text: str) -> Step | None:
    if names and len(names) == len(draft.tensors):
        raise NothingLeft(f"{text} would leave none of the {len(names):,} tensors")
    _forget_aliases(draft, aliases, set(names))
    if not names:
        return None
    step = _step(draft, text, names, Safety.UNSAFE)
    draft.touch(*(draft.tensors[name].shard for name in names))
    for name in names:
        del draft.tensors[name]
    return step


def _forget_aliases(draft: PlanDraft, select: Globs, dropped: set[str]) -> None:
    """Remove metadata entries that name one tensor as the alias of another, where the globs name the alias or the other goes."""
    chosen = Selection(select)
    for shard, metadata in draft.metadata.items():
        gone = [
            (key, value)
            for key, value in metadata or ()
            if value in dropped or (select and key in chosen and value in draft.tensors)
        ]
        if metadata and gone:
            draft.metadata[shard] = tuple(pair for pair in metadata if pair not in gone) or None
            draft.touch(shard)


def rename(draft: PlanDraft, operation: Rename, _lookup: Lookup) -> Step | None:
    """Give tensors the names that the pattern makes of theirs."""
    with time_limit(operation.match):
        change = renamer(operation)
        wanted = {
            name: new for name in draft.tensors if (new := change(name)) is not None and new != name
        }
    if "" in wanted.values():
        raise RecipeInvalid(
            "leaves a tensor without a name",
            subject=f"rename {operation.match} to {operation.to}",
            hint="the new name is what `to` says, with the wildcards filled",
        )
    return _give_names(
        draft,
        wanted,
        f"rename {operation.match} to {operation.to}",
        change,
        if_free=operation.if_free,
    )


def unwrap(draft: PlanDraft, _operation: Unwrap, _lookup: Lookup) -> Step | None:
    """Take wrapper segments out of names."""
    wanted = {name: plain for name in draft.tensors if (plain := unwrapped(name)) not in ("", name)}
    return _give_names(
        draft,
        wanted,
        "take wrapper segments (module, _orig_mod) out of names",
        unwrapped,
        if_free=True,
    )


def _give_names(
    draft: PlanDraft, wanted: Mapping[str, str], text: str, change: Renamer, *, if_free: bool
) -> Step | None:
    counts = Counter(wanted.get(name, name) for name in draft.tensors)
    clashes = {old: new for old, new in wanted.items() if counts[new] > 1}
    if clashes and not if_free:
        old, new = next(iter(clashes.items()))
        others = [name for name in draft.tensors if wanted.get(name, name) == new and name != old]
        raise NameTaken(
            f"{text} gives {len(clashes):,} tensors names that others have: {old} and {others[0]} would both be {new}",
            hint="drop one of the two first, or make the pattern narrower",
        )
    given = {old: new for old, new in wanted.items() if old not in clashes}
    _rename_aliases(draft, given, change)
    if not given:
        return None
    names = list(given)
    step = _step(draft, text, names, Safety.SAFE, [f"{old} -> {new}" for old, new in given.items()])
    draft.touch(*(draft.tensors[name].shard for name in names))
    draft.tensors = {given.get(name, name): held for name, held in draft.tensors.items()}
    return step


def _rename_aliases(draft: PlanDraft, given: Mapping[str, str], change: Renamer) -> None:
    """Give the aliases in the metadata the names that tensors of their names would get.

    One that has become its tensor's own name is none any more.
    """
    for shard, metadata in draft.metadata.items():
        aliases = {
            key
            for key, value in metadata or ()
            if value in draft.tensors and key not in draft.tensors
        }
        renamed = tuple(
            (change(key) or key if key in aliases else key, given.get(value, value))
            for key, value in metadata or ()
        )
        if renamed != (metadata or ()):
            draft.metadata[shard] = (
                tuple((key, value) for key, value in renamed if key != value) or None
            )
            draft.touch(shard)


def cast(draft: PlanDraft, operation: Cast, lookup: Lookup) -> Step | None:
    """Give tensors another dtype, proved to lose nothing or rounded."""
    names = [
        name
        for name in _chosen(draft, operation.select)
        if draft.tensors[name].dtype is not operation.dtype
    ]
    if operation.select == EVERY:
        names = [name for name in names if draft.tensors[name].dtype in FLOATS]
    lossy = [name for name in names if not _loses_nothing(draft, name, operation.dtype, lookup)]
    if lossy and not (operation.lossy or operation.skip):
        raise CastLossy(
            f"as {operation.dtype} {len(lossy):,} of {len(names):,} tensors would lose bits, such as {named(lossy[0])}"
        )
    if not operation.lossy:
        left = set(lossy)
        names = [name for name in names if name not in left]
        lossy = []
    if not names:
        return None
    proof = f"rounds {len(lossy):,} of them" if lossy else "no value changes"
    step = _step(
        draft,
        f"store as {operation.dtype} what is {_dtypes(draft, names)}: {proof}",
        names,
        Safety.UNSAFE if lossy else Safety.SAFE,
    )
    for name in names:
        held = draft.tensors[name]
        nbytes(operation.dtype, held.shape)  # raises for a shape that fills no whole bytes
        draft.tensors[name] = held._replace(dtype=operation.dtype)
        draft.touch(held.shard)
    return step


def _loses_nothing(draft: PlanDraft, name: str, dtype: Dtype, lookup: Lookup) -> bool:
    try:
        return lookup.loses_nothing(draft.tensors[name].source, dtype)
    except EditRefused as error:
        raise EditRefused(
            error.what,
            subject=named(name),
            hint=f"select floating-point tensors only; {error.next}",
        ) from None


def take(draft: PlanDraft, operation: Take, lookup: Lookup) -> Step | None:
    """Take tensors from another checkpoint."""
    other = lookup.read(operation.source)
    selection = Selection(operation.select)
    found = {
        tensor.name: (file, tensor)
        for file in other.weights
        for tensor in file.tensors
        if tensor.name in selection
    }
    if not found:
        raise RecipeInvalid(
            f"holds no tensor that {_words(operation.select)} names",
            subject=operation.source,
            hint="`ckpt show --tree` prints its names",
        )
    home = next(iter(draft.metadata))
    replaced = [name for name in found if name in draft.tensors]
    nbytes_taken = sum(tensor.nbytes for _, tensor in found.values())
    for name, (file, tensor) in found.items():
        shard = draft.tensors[name].shard if name in draft.tensors else home
        draft.tensors[name] = DraftTensor(
            tensor.dtype,
            tensor.shape,
            shard,
            source_of(other.root, file, tensor.start, tensor.end, tensor.dtype),
        )
        draft.touch(shard)
    text = f"take {_words(operation.select)} from {operation.source}" + (
        f", replacing {len(replaced):,}" if replaced else ""
    )
    return Step(
        text, Safety.UNSAFE if replaced else Safety.SAFE, len(found), nbytes_taken, _folded(found)
    )


def _chosen(draft: PlanDraft, select: Globs) -> list[str]:
    selection = Selection(select)
    return [name for name in draft.tensors if name in selection]


def _step(
    draft: PlanDraft,
    text: str,
    names: list[str],
    safety: Safety,
    details: Iterable[str] | None = None,
) -> Step:
    return Step(
        text,
        safety,
        len(names),
        draft.nbytes(names),
        tuple(details) if details is not None else _folded(names),
    )


def _folded(names: Iterable[str]) -> tuple[str, ...]:
    return tuple(
        f"{name} ({count:,})" if count > 1 else name for name, count in fold(names).items()
    )


def _dtypes(draft: PlanDraft, names: list[str]) -> str:
    return ", ".join(sorted({draft.tensors[name].dtype.label for name in names}))


def _words(select: Globs) -> str:
    return (
        " ".join(select)
        if len(select) <= 3  # noqa: PLR2004 - three fit a line
        else f"{' '.join(select[:3])} and {len(select) - 3} more"
    )
