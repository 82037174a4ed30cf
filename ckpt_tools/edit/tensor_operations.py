"""Operations on tensors: drop, keep, rename, unwrap, cast, take.

Each modifies a draft and returns the step that it made, None if it changed nothing. No I/O.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from ckpt_tools.checkpoint.dtype import FLOATS, Dtype
from ckpt_tools.checkpoint.header import nbytes
from ckpt_tools.checkpoint.header_entry import named
from ckpt_tools.checkpoint.names import Selection, unwrapped, wrappers_among
from ckpt_tools.edit.matching import check_matched, selected
from ckpt_tools.edit.operations import EVERY, Cast, Drop, Globs, Keep, RenameTensors, Take, Unwrap
from ckpt_tools.edit.renaming import Renamer, renamer, time_limit
from ckpt_tools.errors import (
    CastInfinite,
    CastLossy,
    EditRefused,
    NameTaken,
    NothingLeft,
    NothingMatched,
    RecipeInvalid,
    located,
)
from ckpt_tools.families.registry import family_of
from ckpt_tools.text import count

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ckpt_tools.edit.draft import PlanDraft
    from ckpt_tools.edit.lookup import Lookup
    from ckpt_tools.edit.model import PlanStep
    from ckpt_tools.values.cast import Overflow


def drop(draft: PlanDraft, operation: Drop, _lookup: Lookup) -> PlanStep | None:
    """Remove the tensors that the globs match."""
    names = _selected(draft, operation)
    return _remove(draft, names, operation.select, f"drop {_shown(operation.select)}")


def keep(draft: PlanDraft, operation: Keep, _lookup: Lookup) -> PlanStep | None:
    """Remove the tensors that the globs do not match."""
    kept = set(_selected(draft, operation))
    names = [name for name in draft.tensors if name not in kept]
    return _remove(draft, names, (), f"keep only {_shown(operation.select)}")


def _remove(draft: PlanDraft, names: list[str], aliases: Globs, text: str) -> PlanStep | None:
    if names and len(names) == len(draft.tensors):
        raise NothingLeft(f"{text} would remove every tensor")
    _remove_aliases(draft, aliases, set(names))
    if not names:
        return None
    step = draft.step(text, names, unsafe=True)
    draft.touch(*(draft.tensors.pop(name).shard for name in names))
    return step


def _remove_aliases(draft: PlanDraft, select: Globs, removed: set[str]) -> None:
    """Remove metadata entries for aliases that the globs match or whose tensor is removed."""
    chosen = Selection(select)
    for shard, metadata in draft.metadata.items():
        gone = [
            (key, value)
            for key, value in metadata or ()
            if value in removed or (select and key in chosen and value in draft.tensors)
        ]
        if metadata and gone:
            draft.metadata[shard] = tuple(pair for pair in metadata if pair not in gone) or None
            draft.touch(shard)


def rename(draft: PlanDraft, operation: RenameTensors, _lookup: Lookup) -> PlanStep | None:
    """Rename the tensors that the pattern matches."""
    text = f"rename {operation.match} to {operation.to}"
    with time_limit(operation.match):
        change = renamer(operation)
        matched = {name: new for name in draft.tensors if (new := change(name)) is not None}
    if not (matched or operation.if_any):
        _refuse_rename(draft, operation)
    wanted = {name: new for name, new in matched.items() if new != name}
    if "" in wanted.values():
        raise RecipeInvalid(
            "a tensor would have an empty name",
            subject=text,
            hint="`to`, with its wildcards filled in, is the new name",
        )
    return _rename(draft, wanted, text, change, if_free=operation.if_free)


def _refuse_rename(draft: PlanDraft, operation: RenameTensors) -> None:
    """Raise NothingMatched unless an alias in the metadata has a name that matches."""
    if not operation.regex:
        check_matched([operation.match], _addresses(draft))
    elif not any(renamer(operation)(alias) is not None for alias in _aliases(draft)):
        raise NothingMatched(
            f"no tensor matches the regular expression {operation.match}",
            hint="it must match the whole name: write .* where anything may stand",
        )


def unwrap(draft: PlanDraft, _operation: Unwrap, _lookup: Lookup) -> PlanStep | None:
    """Remove wrapper segments from names."""
    is_known = family_of(draft.checkpoint).cleaning is not None
    wrappers = wrappers_among(draft.tensors, is_known=is_known)

    def change(name: str) -> str:
        return unwrapped(name, wrappers)

    wanted = {name: plain for name in draft.tensors if (plain := change(name)) not in ("", name)}
    text = "remove wrapper segments (module, _orig_mod) from names"
    return _rename(draft, wanted, text, change, if_free=True)


def _rename(
    draft: PlanDraft, wanted: Mapping[str, str], text: str, change: Renamer, *, if_free: bool
) -> PlanStep | None:
    counts = Counter(wanted.get(name, name) for name in draft.tensors)
    clashes = {old: new for old, new in wanted.items() if counts[new] > 1}
    if clashes and not if_free:
        old, new = next(iter(clashes.items()))
        other = next(
            name for name in draft.tensors if wanted.get(name, name) == new and name != old
        )
        raise NameTaken(
            f"{text} gives {count(len(clashes), 'tensor')} a name that is taken: "
            f"{old} and {other} would both be {new}",
            hint="drop one of the two first, or use a narrower pattern",
        )
    given = {old: new for old, new in wanted.items() if old not in clashes}
    _rename_aliases(draft, given, change)
    if not given:
        return None
    step = draft.step(text, given, details=(f"{old} -> {new}" for old, new in given.items()))
    draft.touch(*(draft.tensors[name].shard for name in given))
    draft.tensors = {given.get(name, name): tensor for name, tensor in draft.tensors.items()}
    return step


def _rename_aliases(draft: PlanDraft, given: Mapping[str, str], change: Renamer) -> None:
    """Rename the aliases in the metadata as tensors of their names would be renamed.

    An alias that has become the name of its own tensor is removed.
    """
    for shard, metadata in draft.metadata.items():
        renamed = tuple(
            (
                change(key) or key if value in draft.tensors and key not in draft.tensors else key,
                given.get(value, value),
            )
            for key, value in metadata or ()
        )
        if renamed != (metadata or ()):
            kept = tuple((key, value) for key, value in renamed if key != value)
            draft.metadata[shard] = kept or None
            draft.touch(shard)


def cast(draft: PlanDraft, operation: Cast, lookup: Lookup) -> PlanStep | None:
    """Change the dtype of tensors: proved lossless, or rounded."""
    names = [
        name
        for name in _selected(draft, operation)
        if draft.tensors[name].dtype is not operation.dtype
        and (operation.select != EVERY or draft.tensors[name].dtype in FLOATS)
    ]
    lossy = {name for name in names if not _is_lossless(draft, name, operation.dtype, lookup)}
    if lossy and not (operation.lossy or operation.skip):
        raise CastLossy(
            f"{len(lossy):,} of {count(len(names), 'tensor')} do not fit in {operation.dtype}"
            f" without loss, such as {named(min(lossy, key=names.index))}"
        )
    skipped = set() if operation.lossy else lossy
    too_large = _too_large(
        draft, [name for name in names if name in lossy - skipped], operation, lookup
    )
    if operation.skip and not operation.infinite:
        skipped, too_large = skipped | too_large.keys(), {}
    _check_infinite(too_large, operation)
    names, lossy = [name for name in names if name not in skipped], lossy - skipped
    if not names:
        return None
    dtypes = ", ".join(sorted({draft.tensors[name].dtype.label for name in names}))
    outcome = f"{count(len(lossy), 'tensor')} rounded" if lossy else "lossless"
    if too_large:
        outcome += f", {_becoming(too_large, operation.dtype)}"
    step = draft.step(f"cast {dtypes} to {operation.dtype}: {outcome}", names, unsafe=bool(lossy))
    for name in names:
        tensor = draft.tensors[name]
        nbytes(operation.dtype, tensor.shape)  # raises for a shape that fills no whole bytes
        draft.tensors[name] = tensor._replace(dtype=operation.dtype)
        draft.touch(tensor.shard)
    return step


def _too_large(
    draft: PlanDraft, names: list[str], operation: Cast, lookup: Lookup
) -> dict[str, Overflow]:
    """Return the tensors with values that are too large for the dtype, and these values."""
    found = {name: lookup.overflow(draft.tensors[name].source, operation.dtype) for name in names}
    return {name: overflow for name, overflow in found.items() if overflow.values}


def _check_infinite(too_large: Mapping[str, Overflow], operation: Cast) -> None:
    if too_large and not operation.infinite:
        worst = max(too_large, key=lambda name: too_large[name].largest)
        raise CastInfinite(
            f"{_becoming(too_large, operation.dtype)}, the largest {too_large[worst].largest:.6g},"
            f" in {named(worst)}"
        )


def _becoming(too_large: Mapping[str, Overflow], dtype: Dtype) -> str:
    values = sum(overflow.values for overflow in too_large.values())
    verb = "becomes" if values == 1 else "become"
    return (
        f"{count(values, 'value')} of {count(len(too_large), 'tensor')} {verb}"
        f" {'NaN' if dtype is Dtype.F8_E4M3 else 'infinite'} in {dtype}"
    )


def _is_lossless(draft: PlanDraft, name: str, dtype: Dtype, lookup: Lookup) -> bool:
    try:
        return lookup.loses_nothing(draft.tensors[name].source, dtype)
    except EditRefused as error:
        raise EditRefused(
            error.what,
            subject=named(name),
            hint=f"select floating-point tensors only; {error.next}",
        ) from None


def take(draft: PlanDraft, operation: Take, lookup: Lookup) -> PlanStep | None:
    """Take tensors from another checkpoint."""
    other = lookup.read(operation.source)
    there = {tensor.name: (file, tensor) for file in other.weights for tensor in file.tensors}
    if not operation.if_any:
        with located(operation.source):
            check_matched(operation.select, there)
    found = {name: there[name] for name in selected(operation.select, there)}
    if not found:
        return None
    first_shard = next(iter(draft.metadata))
    replaced = sum(name in draft.tensors for name in found)
    for name, (file, tensor) in found.items():
        shard = draft.tensors[name].shard if name in draft.tensors else first_shard
        draft.take(other.root, file, tensor, shard)
        draft.touch(shard)
    text = f"take {_shown(operation.select)} from {operation.source}"
    if replaced:
        text += f", replacing {count(replaced, 'tensor')}"
    return draft.step(text, found, unsafe=replaced > 0)


def _selected(draft: PlanDraft, operation: Drop | Keep | Cast) -> list[str]:
    """Return the tensors that an operation selects. Raises NothingMatched for an idle glob."""
    if not operation.if_any and operation.select != EVERY:
        check_matched(operation.select, _addresses(draft))
    return selected(operation.select, draft.tensors)


def _addresses(draft: PlanDraft) -> set[str]:
    """Return the names that a glob may match: of tensors, and of their aliases."""
    return draft.tensors.keys() | _aliases(draft)


def _aliases(draft: PlanDraft) -> set[str]:
    return {
        key
        for metadata in draft.metadata.values()
        for key, value in metadata or ()
        if value in draft.tensors
    }


def _shown(select: Globs) -> str:
    more = f" and {len(select) - 3} more" if len(select) > 3 else ""  # noqa: PLR2004 - three fit a line
    return " ".join(select[:3]) + more
