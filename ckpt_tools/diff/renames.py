"""Matching tensors that two checkpoints store under different names.

Four rules, each a way in which names go wrong in practice: a wrapper segment (`_orig_mod`,
`module`) anywhere, a prefix added or removed, layer numbers shifted, a subtree renamed. Every rule
proposes pairs; `match` accepts groups of them, largest first, as long as their tensors are
unmatched. Shapes always agree. The result does not depend on which side is called A.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from typing import TYPE_CHECKING, NamedTuple

from ckpt_tools.checkpoint.names import SEGMENT_LIMIT, WRAPPERS, is_index, natural_key, unwrapped
from ckpt_tools.diff.model import Rename, RenameKind

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from ckpt_tools.checkpoint.model import Tensor

_SUBTREE_DEPTH = 6
_ROUNDS = 4


class _Pair(NamedTuple):
    kind: RenameKind
    old: str
    new: str
    a: Tensor
    b: Tensor


def match(only_a: Iterable[Tensor], only_b: Iterable[Tensor]) -> tuple[Rename, ...]:
    """Return the renames that lead from `only_a` to `only_b`, largest first.

    Each tensor is in at most one.
    """
    free_a = {tensor.name: tensor for tensor in only_a}
    free_b = {tensor.name: tensor for tensor in only_b}
    renames: list[Rename] = []

    def settle(pairs: list[_Pair]) -> None:
        kept = [pair for pair in pairs if pair.a.name in free_a and pair.b.name in free_b]
        if kept:
            renames.append(_rename(kept))
        for pair in kept:
            del free_a[pair.a.name], free_b[pair.b.name]

    def proposals(rule: _Rule) -> list[list[_Pair]]:
        return (
            _groups(rule(tuple(free_a.values()), tuple(free_b.values())))
            if free_a and free_b
            else []
        )

    # Whole modules first, whatever rule explains them; then rule by rule, which is faster for many
    # small groups.
    for _ in range(_ROUNDS):
        settle(
            max((group for rule in _RULES for group in proposals(rule)[:1]), key=len, default=[])
        )
    for rule in _RULES:
        for pairs in proposals(rule):
            settle(pairs)
    return tuple(sorted(renames, key=lambda rename: -len(rename.pairs)))


def _rename(pairs: list[_Pair]) -> Rename:
    ordered = sorted(((pair.a, pair.b) for pair in pairs), key=either_way)
    return Rename(kind=pairs[0].kind, old=pairs[0].old, new=pairs[0].new, pairs=tuple(ordered))


def either_way(pair: tuple[Tensor, Tensor]) -> list[str]:
    """Return a sort key for (A's, B's) tensors that is the same when A and B change places."""
    return sorted((pair[0].name, pair[1].name))


def _groups(pairs: Iterable[_Pair]) -> list[list[_Pair]]:
    """Group pairs by (old, new) without ambiguous ones, in an order symmetric in A and B."""
    groups: defaultdict[tuple[str, str], list[_Pair]] = defaultdict(list)
    for pair in pairs:
        groups[pair.old, pair.new].append(pair)
    for group in groups.values():
        uses = Counter(name for pair in group for name in (("a", pair.a.name), ("b", pair.b.name)))
        group[:] = [
            pair for pair in group if uses["a", pair.a.name] == 1 and uses["b", pair.b.name] == 1
        ]
    return sorted(
        groups.values(),
        key=lambda group: (
            -len(group),
            sorted(name for pair in group for name in (pair.a.name, pair.b.name)),
        ),
    )


def _wrappers(only_a: Sequence[Tensor], only_b: Sequence[Tensor]) -> Iterator[_Pair]:
    plain_a, plain_b = _by_plain_name(only_a), _by_plain_name(only_b)
    for plain, a in plain_a.items():
        b = plain_b.get(plain)
        if b is not None and a.shape == b.shape and _wrapping(a.name) != _wrapping(b.name):
            yield _Pair(RenameKind.WRAPPER, _wrapping(a.name), _wrapping(b.name), a, b)


def _by_plain_name(tensors: Iterable[Tensor]) -> dict[str, Tensor]:
    """Return tensors by name without wrapper segments; ambiguous names are left out."""
    found: defaultdict[str, list[Tensor]] = defaultdict(list)
    for tensor in tensors:
        found[unwrapped(tensor.name)].append(tensor)
    return {plain: members[0] for plain, members in found.items() if len(members) == 1}


def _wrapping(name: str) -> str:
    return ".".join(part for part in name.split(".") if part in WRAPPERS)


def _prefixes(only_a: Sequence[Tensor], only_b: Sequence[Tensor]) -> Iterator[_Pair]:
    for long, prefix, short in _suffix_pairs(only_b, only_a):
        yield _Pair(RenameKind.PREFIX, "", prefix, short, long)
    for long, prefix, short in _suffix_pairs(only_a, only_b):
        yield _Pair(RenameKind.PREFIX, prefix, "", long, short)


def _suffix_pairs(
    longer: Sequence[Tensor], shorter: Sequence[Tensor]
) -> Iterator[tuple[Tensor, str, Tensor]]:
    """Yield (tensor, prefix, other) where the tensor's name is `prefix` plus the other's name.

    The prefix ends with a dot; the shortest one wins.
    """
    by_name = {tensor.name: tensor for tensor in shorter}
    for tensor in longer:
        for end in prefix_ends(tensor.name):
            other = by_name.get(tensor.name[end:])
            if other is not None and other.shape == tensor.shape:
                yield tensor, tensor.name[:end], other
                break


def prefix_ends(name: str) -> Iterator[int]:
    """Yield the end of each dotted prefix of `name`, shortest first, up to SEGMENT_LIMIT."""
    end = 0
    for _ in range(SEGMENT_LIMIT):
        end = name.find(".", end) + 1
        if not end:
            return
        yield end


def _layer_offsets(only_a: Sequence[Tensor], only_b: Sequence[Tensor]) -> Iterator[_Pair]:
    """Propose pairs whose layer numbers differ by one offset for the whole layer stack."""
    stacks_a, stacks_b = _stacks(only_a), _stacks(only_b)
    for stem in stacks_a.keys() & stacks_b.keys():
        a_by_slot, b_by_slot = stacks_a[stem], stacks_b[stem]
        offset = min(number for number, _ in b_by_slot) - min(number for number, _ in a_by_slot)
        for (number, rest), a in a_by_slot.items():
            b = b_by_slot.get((number + offset, rest))
            if b is not None and a.shape == b.shape and offset:
                shifted, plain = f"{stem}.{{n+{abs(offset)}}}", f"{stem}.{{n}}"
                yield _Pair(
                    RenameKind.LAYER_OFFSET,
                    *((plain, shifted) if offset > 0 else (shifted, plain)),
                    a,
                    b,
                )


def _stacks(tensors: Iterable[Tensor]) -> dict[str, dict[tuple[int, str], Tensor]]:
    """Return {name before the first number: {(number, name after it): tensor}}."""
    stacks: defaultdict[str, dict[tuple[int, str], Tensor]] = defaultdict(dict)
    for tensor in tensors:
        parts = tensor.name.split(".", SEGMENT_LIMIT)
        place = next((place for place in range(1, len(parts) - 1) if is_index(parts[place])), None)
        if place is not None:
            stacks[".".join(parts[:place])][int(parts[place]), ".".join(parts[place + 1 :])] = (
                tensor
            )
    return stacks


def _subtrees(only_a: Sequence[Tensor], only_b: Sequence[Tensor]) -> Iterator[_Pair]:
    """Propose pairs from subtrees with equal shapes and dtypes in order, unique on both sides.

    The largest subtrees come first.
    """
    rest_a, rest_b = (
        {tensor.name: tensor for tensor in only_a},
        {tensor.name: tensor for tensor in only_b},
    )
    for depth in range(1, _SUBTREE_DEPTH + 1):
        trees_a, trees_b = _trees(rest_a.values(), depth), _trees(rest_b.values(), depth)
        for signature in trees_a.keys() & trees_b.keys():
            if len(trees_a[signature]) == len(trees_b[signature]) == 1:
                for pair in _in_order(trees_a[signature][0], trees_b[signature][0]):
                    del rest_a[pair.a.name], rest_b[pair.b.name]
                    yield pair


def _in_order(tensors_a: Sequence[Tensor], tensors_b: Sequence[Tensor]) -> Iterator[_Pair]:
    """Propose the pairs of two subtrees, none where their names have too little in common."""
    pairs = [
        _Pair(RenameKind.SUBTREE, *_differing_part(a.name, b.name), a, b)
        for a, b in zip(tensors_a, tensors_b, strict=True)
    ]
    labels = {(pair.old, pair.new) for pair in pairs}
    lone = len(pairs) == 1 and pairs[0].old != pairs[0].a.name
    if lone or 2 * len(labels) <= len(pairs):
        yield from pairs


def _differing_part(old: str, new: str) -> tuple[str, str]:
    """Return two names without the leading and trailing segments that they share."""
    a, b = old.split("."), new.split(".")
    shorter = min(len(a), len(b))
    front = next((place for place in range(shorter) if a[place] != b[place]), shorter)
    back = next(
        (place for place in range(shorter - front) if a[-1 - place] != b[-1 - place]),
        shorter - front,
    )
    return ".".join(a[front : len(a) - back]), ".".join(b[front : len(b) - back])


type _Signature = tuple[tuple[object, ...], ...]


def _trees(tensors: Iterable[Tensor], depth: int) -> dict[_Signature, list[list[Tensor]]]:
    """Return the subtrees at `depth` by their tensors' shapes and dtypes, in natural order."""
    by_root: defaultdict[tuple[str, ...], list[Tensor]] = defaultdict(list)
    for tensor in tensors:
        by_root[tuple(tensor.name.split(".", depth)[:depth])].append(tensor)
    trees: defaultdict[_Signature, list[list[Tensor]]] = defaultdict(list)
    for members in by_root.values():
        members.sort(key=lambda tensor: natural_key(tensor.name))
        trees[tuple((tensor.shape, tensor.dtype) for tensor in members)].append(members)
    return trees


type _Rule = Callable[[Sequence[Tensor], Sequence[Tensor]], Iterator[_Pair]]

_RULES: tuple[_Rule, ...] = (_wrappers, _prefixes, _layer_offsets, _subtrees)
"""In order of preference where they explain equally many tensors."""
