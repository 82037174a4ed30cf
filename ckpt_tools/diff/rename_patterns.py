"""The arguments of `ckpt rename` that give tensors other names: pairs of globs, tried on the names.

Names change by their beginnings, as `a.b.**` to `a.**`; a name without anything in common with its
new one is written out.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ckpt_tools.checkpoint.names import literal

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

MOST = 12
"""Pairs that a person still reads in one command."""

_REACH = 3
_ALL = "**"


def patterns(names: Iterable[str], wanted: Mapping[str, str]) -> tuple[tuple[str, str], ...]:
    """Return (MATCH, TO) pairs that rename the `names` that `wanted` has, and no others.

    In this order. Empty where no few of them do, or names would not survive a terminal or a shell.
    """
    listed = tuple(names)
    if not all(map(_can_be_pasted, (*wanted, *wanted.values()))):
        return ()
    for candidate in _candidates(listed, wanted):
        if len(candidate) <= MOST and _renamed(listed, candidate) == [
            wanted.get(name, name) for name in listed
        ]:
            return tuple((_glob(old), _glob(new)) for old, new in candidate)
    return ()


def in_free_order(names: Iterable[str], wanted: Mapping[str, str]) -> list[tuple[str, str]]:
    """Return the renames of `wanted` so that, one after the other, none takes a name in use.

    Names that change places have no such order: they come last.
    """
    taken, rest, found = set(names), dict(wanted), []
    while free := [name for name, new in rest.items() if new not in taken]:
        for name in free:
            if rest[name] not in taken:
                found.append((name, rest.pop(name)))
                taken = taken - {name} | {found[-1][1]}
    return [*found, *rest.items()]


def _can_be_pasted(name: str) -> bool:
    return name.isprintable() and not name.startswith("-")


def beginnings(old: str, new: str, reach: int = 0) -> tuple[str, str]:
    """Return two names without the trailing segments that they share, but for `reach` of these."""
    a, b = old.split("."), new.split(".")
    shorter = min(len(a), len(b))
    same = next((at for at in range(shorter) if a[-1 - at] != b[-1 - at]), shorter)
    cut = max(same - reach, 0)
    return ".".join(a[: len(a) - cut]), ".".join(b[: len(b) - cut])


type _Pairs = tuple[tuple[str, str], ...]


def _candidates(names: tuple[str, ...], wanted: Mapping[str, str]) -> Iterator[_Pairs]:
    """Yield pairs of beginnings, the fewest first, in orders in which none is in another's way."""
    for reach in range(_REACH):
        pairs = dict.fromkeys(beginnings(old, new, reach) for old, new in wanted.items())
        if len(pairs) > MOST:
            return
        for order in (sorted(pairs, key=_length, reverse=True), list(reversed(pairs))):
            yield tuple(_narrowed(names, wanted, order))
            yield tuple(order)


def _length(pair: tuple[str, str]) -> int:
    return pair[0].count(".") if pair[0] else -1


def _narrowed(
    names: tuple[str, ...], wanted: Mapping[str, str], order: list[tuple[str, str]]
) -> Iterator[tuple[str, str]]:
    """Yield pairs in order; one that would change other names has a segment more of its own."""
    now = {name: name for name in names}
    for old, new in order:
        own = [
            name
            for name in wanted
            if name == now.get(name) and _one(name, old, new) == wanted[name]
        ]
        meant = set(own)
        alone = all(name in meant or _one(is_, old, new) == is_ for name, is_ in now.items())
        pairs = [(old, new)] if alone else _longer(own, wanted, old)
        for pair in pairs:
            now |= {name: _one(now[name], *pair) for name in own}
        yield from pairs


def _longer(own: list[str], wanted: Mapping[str, str], old: str) -> list[tuple[str, str]]:
    """Return the pairs of these names with one segment more than `old` has."""
    segments = old.count(".") + 1 if old else 0
    shared = (len(name.split(".")) - segments for name in own)
    cuts = zip(own, shared, strict=True)
    return list(
        dict.fromkeys(
            (
                ".".join(name.split(".")[: segments + 1]),
                wanted[name] if rest <= 1 else wanted[name].rsplit(".", rest - 1)[0],
            )
            for name, rest in cuts
        )
    )


def _renamed(names: tuple[str, ...], pairs: _Pairs) -> list[str]:
    """Return the names after all pairs in turn; none where two tensors would have one name."""
    now = list(names)
    for old, new in pairs:
        now = [_one(name, old, new) for name in now]
        if len(set(now)) < len(now):
            return []
    return now


def _one(name: str, old: str, new: str) -> str:
    if not old:
        return f"{new}.{name}"
    if name == old:
        return new or name
    rest = name.removeprefix(f"{old}.")
    return name if rest == name else f"{new}.{rest}" if new else rest


def _glob(beginning: str) -> str:
    return f"{literal(beginning)}.{_ALL}" if beginning else _ALL
