"""Globs that match nothing: the error, with the glob that was probably meant. No I/O."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from ckpt_tools.checkpoint.names import Selection, glob_to_regex, literal, spelled
from ckpt_tools.errors import NothingMatched
from ckpt_tools.strict_json.pointer import nearest

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator

_OPEN_END = re.compile(r"\.?\*+$|\.$")


def check_matched(globs: Iterable[str], addresses: Collection[str], what: str = "tensor") -> None:
    """Raise NothingMatched for the first glob that matches none of the addresses.

    The error suggests a similar glob that does match. `what` is what the addresses are of.
    """
    known = addresses if isinstance(addresses, set | frozenset | dict) else set(addresses)
    for glob in globs:
        name = spelled(glob)
        if not (name in known if name is not None else _matches(glob, known)):
            raise not_matched(f"no {what} matches {glob}", _meant(glob, known))


def not_matched(what: str, meant: str = "") -> NothingMatched:
    """Return the error, with the glob `meant` as its hint."""
    return NothingMatched(what, hint=f"did you mean {meant}?") if meant else NothingMatched(what)


def _matches(glob: str, addresses: Iterable[str]) -> bool:
    pattern = glob_to_regex(glob)
    return any(pattern.fullmatch(address) for address in addresses)


def _meant(glob: str, addresses: Collection[str]) -> str:
    """Return a glob like `glob` that matches some of the addresses, "" if none is similar."""
    return next((meant for meant in _similar(glob, addresses) if _matches(meant, addresses)), "")


def _similar(glob: str, addresses: Collection[str]) -> Iterator[str]:
    """Yield other globs: the whole subtree, `**` for `*`, the most similar beginning."""
    stem = _OPEN_END.sub("", glob)
    yield f"{stem}.**"
    yield re.sub(r"(?<![\[*])\*(?![*\]])", "**", glob)
    if spelled(stem) is not None and stem:
        depth = stem.count(".") + 1
        starts = dict.fromkeys(".".join(one.split(".")[:depth]) for one in addresses)
        if found := nearest(stem, list(starts)):
            yield literal(found) + (glob[len(stem) :] if stem != glob else "")
            yield f"{literal(found)}.**"


def selected(globs: tuple[str, ...], addresses: Iterable[str]) -> list[str]:
    """Return the addresses that match any of the globs."""
    selection = Selection(globs)
    return [address for address in addresses if address in selection]
