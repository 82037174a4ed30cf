"""Grouping the differences in tensors by component, cause and consequence, a sentence each.

The same Diff always gives the same groups in the same order.
"""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING

from ckpt_tools.checkpoint.documents import CONFIG
from ckpt_tools.checkpoint.names import fold, unwrapped
from ckpt_tools.diff.model import DifferenceGroup, RenameKind, StoryKind, WatchedLine
from ckpt_tools.diff.rename_patterns import beginnings
from ckpt_tools.diff.renames import prefix_ends
from ckpt_tools.families.family import GENERIC
from ckpt_tools.families.registry import family_of
from ckpt_tools.strict_json.pointer import ABSENT
from ckpt_tools.text import count

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from ckpt_tools.checkpoint.model import Checkpoint, Tensor
    from ckpt_tools.diff.model import Diff, Rename
    from ckpt_tools.families.family import Family


_WRAPPED = (
    "saved from a wrapped model (torch.compile, DataParallel, FSDP): a loader finds none of"
    " these names"
)


def shared_family(a: Checkpoint, b: Checkpoint) -> Family:
    """Return the family whose components name the differences: B's, or A's where B's is unknown."""
    family = family_of(b)
    return family_of(a) if family is GENERIC else family


def watched_lines(a: Checkpoint, b: Checkpoint) -> tuple[WatchedLine, ...]:
    """Return a line for each config key that affects loading, whether it differs or not.

    There are none for two families or without configs.
    """
    config_a, config_b = a.document(CONFIG), b.document(CONFIG)
    family = family_of(a)
    if config_a is None or config_b is None or family is not family_of(b):
        return ()
    lines = []
    for watched in family.watched:
        left, right = (
            config_a.value.get(watched.key, ABSENT),
            config_b.value.get(watched.key, ABSENT),
        )
        (fine_a, remark_a), (fine_b, remark_b) = watched.evaluate(left), watched.evaluate(right)
        alike = all(any(value is neutral for neutral in watched.neutral) for value in (left, right))
        verdict = (
            "same"
            if type(left) is type(right) and left == right
            else "equivalent"
            if alike
            else "different"
        )
        line = WatchedLine(
            key=watched.key,
            a=left,
            b=right,
            fine_a=fine_a,
            fine_b=fine_b,
            remark_a=remark_a,
            remark_b=remark_b,
            verdict=verdict,
        )
        lines.append(line)
    return tuple(lines)


def group_differences(diff: Diff) -> tuple[DifferenceGroup, ...]:
    """Return the differences in tensors by kind; every tensor in `diff` is in a group."""
    family = shared_family(diff.a, diff.b)
    copies_a, rest_a = _split_copies(diff.a, diff.only_a)
    copies_b, rest_b = _split_copies(diff.b, diff.only_b)
    return (
        *_missing(rest_a, family, wanted=_wanted(diff, family)),
        *(_renamed(rename, family) for rename in diff.renamed),
        *(_copy(prefix, tensors, diff, family, side="B") for prefix, tensors in copies_b.items()),
        *(_copy(prefix, tensors, diff, family, side="A") for prefix, tensors in copies_a.items()),
        *_extra(rest_b, family),
        *_retyped(diff, family),
        *_reshaped(diff, family),
    )


_HARMLESS = frozenset({StoryKind.EXTRA, StoryKind.DTYPE})

type _Sides = tuple[Tensor | None, Tensor | None]


def _difference(
    kind: StoryKind, text: str, pairs: Sequence[_Sides], remark: str, *, harmful: bool | None = None
) -> DifferenceGroup:
    nbytes = sum((b.nbytes if b else 0) - (a.nbytes if a else 0) for a, b in pairs)
    names = _folded(tensor for a, b in pairs if (tensor := b or a))
    harmful = kind not in _HARMLESS if harmful is None else harmful
    return DifferenceGroup(
        kind=kind,
        text=text,
        remark=remark,
        harmful=harmful,
        tensors=len(pairs),
        nbytes=nbytes,
        names=names,
    )


def _folded(tensors: Iterable[Tensor]) -> tuple[str, ...]:
    return tuple(fold(tensor.name for tensor in tensors))


def _split_copies(
    checkpoint: Checkpoint, only: Sequence[Tensor]
) -> tuple[dict[str, list[Tensor]], list[Tensor]]:
    """Return the tensors of `only` that copy others under a prefix, by prefix, and the rest."""
    shapes = {tensor.name: tensor.shape for tensor in checkpoint.tensors}
    copies: defaultdict[str, list[Tensor]] = defaultdict(list)
    rest: list[Tensor] = []
    for tensor in only:
        end = next(
            (
                end
                for end in prefix_ends(tensor.name)
                if shapes.get(tensor.name[end:]) == tensor.shape
            ),
            None,
        )
        if end is None:
            rest.append(tensor)
        else:
            copies[tensor.name[:end]].append(tensor)
    return dict(copies), rest


def _copy(
    prefix: str, tensors: Sequence[Tensor], diff: Diff, family: Family, *, side: str
) -> DifferenceGroup:
    copied = {tensor.name.removeprefix(prefix) for tensor in tensors}
    elsewhere = (
        tensor.name
        for checkpoint in (diff.a, diff.b)
        for tensor in checkpoint.tensors
        if not tensor.name.startswith(prefix)
    )
    whole = all(name in copied for name in elsewhere if family.needs(name))
    return _difference(
        StoryKind.COPY,
        (
            f"{count(len(tensors), 'tensor')} under `{prefix}` only in {side}: a copy of"
            f" {'the model' if whole else f'a part of the model ({family.parts(copied)})'}"
        ),
        [(None, tensor) if side == "B" else (tensor, None) for tensor in tensors],
        family.copied if side == "B" and prefix in family.copy_prefixes else "",
        harmful=side == "B",
    )


def _wanted(diff: Diff, family: Family) -> bool:
    """Whether B's loader misses what only A has: not where A is of another family."""
    return family_of(diff.b) is family and family_of(diff.a) in (family, GENERIC)


def _missing(
    tensors: Sequence[Tensor], family: Family, *, wanted: bool
) -> Iterator[DifferenceGroup]:
    """Yield what B's loader needs apart from what it never loads."""
    for needed in (True, False):
        members = [tensor for tensor in tensors if family.needs(tensor.name) is needed]
        if members:
            text = (
                f"{count(len(members), 'tensor')} missing in B"
                f" ({family.parts(tensor.name for tensor in members)})"
            )
            remark = family.missing if needed and wanted else ""
            yield _difference(
                StoryKind.MISSING,
                text,
                [(tensor, None) for tensor in members],
                remark,
                harmful=needed,
            )


def _extra(tensors: Sequence[Tensor], family: Family) -> Iterator[DifferenceGroup]:
    if tensors:
        text = (
            f"{count(len(tensors), 'tensor')} only in B"
            f" ({family.parts(tensor.name for tensor in tensors)})"
        )
        yield _difference(StoryKind.EXTRA, text, [(None, tensor) for tensor in tensors], "")


def _renamed(rename: Rename, family: Family) -> DifferenceGroup:
    parts = family.parts(a.name for a, _ in rename.pairs)
    text = f"{count(len(rename.pairs), 'tensor')} {_renaming(rename)} ({parts})"
    lost = any(family.needs(a.name) and not family.needs(b.name) for a, b in rename.pairs)
    wrapped = any(unwrapped(b.name) != b.name for _, b in rename.pairs)
    remark = (
        f"B lacks them under the names it needs: {family.missing}"
        if lost
        else _WRAPPED
        if wrapped
        else ""
    )
    # Bytes change only with the dtype, which is a group of its own.
    return DifferenceGroup(
        kind=StoryKind.RENAMED,
        text=text,
        remark=remark,
        harmful=lost or wrapped,
        tensors=len(rename.pairs),
        nbytes=0,
        names=_renamed_names(rename),
    )


def _renamed_names(rename: Rename) -> tuple[str, ...]:
    """Return the names as old -> new, folded where both sides fold alike."""
    old, new = fold(a.name for a, _ in rename.pairs), fold(b.name for _, b in rename.pairs)
    pairs = (
        zip(old, new, strict=True)
        if list(old.values()) == list(new.values())
        else ((a.name, b.name) for a, b in rename.pairs)
    )
    return tuple(f"{a} -> {b}" for a, b in pairs)


def whole_prefixes(rename: Rename) -> tuple[str, str] | None:
    """Return how A's and B's names begin, up to what both share; None where they differ in that."""
    found = {beginnings(a.name, b.name) for a, b in rename.pairs}
    return found.pop() if len(found) == 1 else None


def _renaming(rename: Rename) -> str:
    match rename.kind:
        case RenameKind.PREFIX:
            return (
                f"moved under `{rename.new}` in B"
                if rename.new
                else f"moved out of `{rename.old}` in B"
            )
        case RenameKind.WRAPPER:
            return (
                f"wrapped in `{rename.new}` in B"
                if rename.new
                else f"unwrapped from `{rename.old}` in B"
            )
        case _:
            old, new = whole_prefixes(rename) or (rename.old, rename.new)
            return f"called `{new}` in B instead of `{old}`"


def _retyped(diff: Diff, family: Family) -> Iterator[DifferenceGroup]:
    if not diff.retyped:
        return
    groups: defaultdict[tuple[str, str], list[tuple[Tensor, Tensor]]] = defaultdict(list)
    for a, b in diff.retyped:
        groups[a.dtype.label, b.dtype.label].append((a, b))
    profile_a, profile_b = family.profile(diff.a), family.profile(diff.b)
    profiles = [
        f"{side} was {profile}" for side, profile in (("B", profile_b), ("A", profile_a)) if profile
    ]
    remark = "; ".join(profiles) if profile_a != profile_b else ""
    contradiction = family.contradiction(diff.b)
    if remark and contradiction:
        remark += f", although B's {contradiction}"
    for (old, new), pairs in sorted(groups.items(), key=lambda group: -len(group[1])):
        text = (
            f"{count(len(pairs), 'tensor')} {new} instead of {old}"
            f" ({family.parts(a.name for a, _ in pairs)})"
        )
        yield _difference(StoryKind.DTYPE, text, pairs, remark)


def _reshaped(diff: Diff, family: Family) -> Iterator[DifferenceGroup]:
    if diff.reshaped:
        text = (
            f"{count(len(diff.reshaped), 'tensor')} of another shape"
            f" ({family.parts(a.name for a, _ in diff.reshaped)})"
        )
        names = [f"{a.name} {list(a.shape)} -> {list(b.shape)}" for a, b in diff.reshaped]
        # The bytes of a tensor whose dtype differs too are counted there.
        nbytes = sum(b.nbytes - a.nbytes for a, b in diff.reshaped if a.dtype == b.dtype)
        remark = "the loader rejects a mismatched shape"
        yield DifferenceGroup(
            kind=StoryKind.SHAPE,
            text=text,
            remark=remark,
            harmful=True,
            tensors=len(diff.reshaped),
            nbytes=nbytes,
            names=tuple(names),
        )
