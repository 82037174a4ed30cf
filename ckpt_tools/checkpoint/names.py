"""Dotted names: globs that select tensors, config values and files; folding; wrapper segments.

The address of a tensor is its name, of a file its path, of a config value its file without `.json`
and its keys: `train_config.policy.device`. In a glob `*` matches any part of one segment between
dots, `**` any number of segments, `?` one character; `[*]`, `[?]` and `[[]` match the characters
themselves.
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from functools import lru_cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable


TOKENS = re.compile(r"\[[*?\[]\]|\*\*\.|\.\*\*$|\*\*|\*|\?|[^*?.\[]+|\.|\[")
"""The tokens of a glob."""


def literal(address: str) -> str:
    """Return the glob that matches `address` only."""
    return re.sub(r"[*?\[]", r"[\g<0>]", address)


def spelled(glob: str) -> str | None:
    """Return the only address that a glob matches, None for a glob with wildcards."""
    tokens = TOKENS.findall(glob)
    return (
        None
        if any(token in WILDCARDS for token in tokens)
        else "".join(plain(token) for token in tokens)
    )


def plain(token: str) -> str:
    """Return the characters that a token other than a wildcard matches."""
    return token[1] if len(token) == 3 and token[0] == "[" and token[2] == "]" else token  # noqa: PLR2004 - a character in brackets


def glob_to_regex(glob: str) -> re.Pattern[str]:
    """Return the expression that a full address must match, with a group for each wildcard.

    `**` at the start or end also matches no segment at all.
    """
    return re.compile(
        "".join(WILDCARDS.get(token) or re.escape(plain(token)) for token in TOKENS.findall(glob)),
        re.DOTALL,
    )


WILDCARDS = {
    "**.": r"(?:(.*)\.)?",
    ".**": r"(?:\.(.*))?",
    "**": "(.*)",
    "*": r"([^.]*)",
    "?": r"([^.])",
}
"""The tokens that match more than themselves, as expressions with one group each."""


class Selection:
    """The addresses that match one of the globs `select` (any, if empty), and none of `ignore`."""

    __slots__ = ("_everything", "_ignore", "_named", "_select")

    def __init__(self, select: tuple[str, ...] = (), ignore: tuple[str, ...] = ()) -> None:
        named = {glob: spelled(glob) for glob in select}
        self._everything = not select
        self._named = {
            address for address in named.values() if address is not None
        }  # a plan may name thousands
        self._select = [glob_to_regex(glob) for glob, address in named.items() if address is None]
        self._ignore = [glob_to_regex(glob) for glob in ignore]

    def __contains__(self, address: str) -> bool:
        """Whether the address is selected."""
        chosen = (
            self._everything
            or address in self._named
            or any(pattern.fullmatch(address) for pattern in self._select)
        )
        return chosen and not any(pattern.fullmatch(address) for pattern in self._ignore)


EVERYTHING = Selection()


def value_address(path: str, pointer: str) -> str:
    """Return the dotted address of the value at the JSON pointer `pointer` in the file `path`."""
    keys = [segment.replace("~1", "/").replace("~0", "~") for segment in pointer.split("/")[1:]]
    return ".".join([path.removesuffix(".json"), *keys])


SEGMENT_LIMIT = 64
"""More segments than a model's names have: work on a hostile name with a million is bounded."""

_DIGIT_LIMIT = 9
"""The most digits of a layer's number; a longer segment is a name."""


def fold(names: Iterable[str]) -> dict[str, int]:
    """Return the number of `names` per folded name, in order of first appearance.

    Numbered segments are merged into ranges, from left to right, if all else in the names is equal.
    """
    folded = {tuple(name.split(".", SEGMENT_LIMIT)): 1 for name in names}
    longest = max(map(len, folded), default=0)
    for position in range(longest):
        folded = _fold_segment(folded, position)
    written: Counter[str] = Counter()
    for segments, count in folded.items():
        # A name may look like a folded one, a.{0..2}: both are counted under it.
        written[".".join(segments)] += count
    return dict(written)


def _fold_segment(names: dict[tuple[str, ...], int], position: int) -> dict[tuple[str, ...], int]:
    groups: defaultdict[tuple[tuple[str, ...], ...], list[tuple[str, ...]]] = defaultdict(list)
    numbered = [len(segments) > position and is_index(segments[position]) for segments in names]
    if not any(numbered):
        return names
    for segments, number in zip(names, numbered, strict=True):
        rest = (segments[:position], segments[position + 1 :]) if number else (segments,)
        groups[rest].append(segments)
    folded: dict[tuple[str, ...], int] = {}
    for members in groups.values():
        first = members[0]
        key = (
            first
            if len(members) == 1
            else (
                *first[:position],
                ranges(int(name[position]) for name in members),
                *first[position + 1 :],
            )
        )
        folded[key] = sum(names[member] for member in members)
    return folded


@lru_cache(4096)
def is_index(segment: str) -> bool:
    """Whether a segment is an integer without leading zeros: 7, but not 07."""
    return (
        len(segment) <= _DIGIT_LIMIT
        and segment.isascii()
        and segment.isdecimal()
        and (segment == "0" or segment[0] != "0")
    )


def is_numbered(name: str) -> bool:
    """Whether a tensor belongs to one of several alike layers: layers.7.weight."""
    return any(is_index(segment) for segment in name.split(".", SEGMENT_LIMIT))


def natural_key(name: str) -> tuple[tuple[int, int | str], ...]:
    """Return a key that sorts layers.2 before layers.10."""
    return tuple(
        (0, int(part)) if is_index(part) else (1, part) for part in name.split(".", SEGMENT_LIMIT)
    )


def ranges(numbers: Iterable[int]) -> str:
    """Return integers in braces, three or more in a row as a range: {0..3,7}, {0..14..2}.

    A single number has no braces.
    """
    ordered = sorted(set(numbers))
    if len(ordered) == 1:
        return str(ordered[0])
    step = ordered[1] - ordered[0]
    if step > 1 and len(ordered) > 2 and ordered == list(range(ordered[0], ordered[-1] + 1, step)):  # noqa: PLR2004 - two numbers are no row
        return f"{{{ordered[0]}..{ordered[-1]}..{step}}}"
    runs: list[list[int]] = []
    for number in ordered:
        if runs and number == runs[-1][-1] + 1:
            runs[-1].append(number)
        else:
            runs.append([number])
    return "{" + ",".join(map(_run, runs)) + "}"


def _run(run: list[int]) -> str:
    if len(run) > 2:  # noqa: PLR2004 - 3,4 is shorter than 3..4
        return f"{run[0]}..{run[-1]}"
    return ",".join(map(str, run))


def covering(wanted: Iterable[str], every: Iterable[str]) -> list[str]:
    """Return few globs that match `wanted` and no other name of `every`.

    Subtrees where all names in them are wanted, single names elsewhere.
    """
    chosen, universe = set(wanted), set(every) | set(wanted)
    found: list[str] = []
    stack: list[tuple[str, list[str]]] = [("", list(universe))]
    while stack:
        stem, names = stack.pop()
        left = [name for name in names if name in chosen]
        if len(left) == len(names) and stem and (stem[:-1] not in universe or stem[:-1] in chosen):
            found.append(f"{literal(stem)}**")
        elif stem.count(".") >= SEGMENT_LIMIT:
            found += map(literal, left)
        elif left:
            stack += _subtrees(stem, names)
            found += [literal(name) for name in left if "." not in name[len(stem) :]]
    return sorted(found)


def _subtrees(stem: str, names: Iterable[str]) -> Iterable[tuple[str, list[str]]]:
    trees: defaultdict[str, list[str]] = defaultdict(list)
    for name in names:
        if end := name.find(".", len(stem)) + 1:
            trees[name[:end]].append(name)
    return trees.items()


WRAPPERS = frozenset(
    {
        "_orig_mod",
        "module",
        "_fsdp_wrapped_module",
        "_checkpoint_wrapped_module",
        "_fpw_module",
        "_forward_module",
        "_fp32_params",
    }
)
"""Segments that torch.compile, DataParallel, FSDP (torch's and FairScale's), activation
checkpointing, Lightning and NeMo add to names.
"""

_LAWFUL = "module"
"""The only one of them that models also have of their own."""


def unwrapped(name: str, wrappers: Collection[str] = WRAPPERS) -> str:
    """Return `name` without wrapper segments."""
    if "module" not in name and "_orig_mod" not in name and "_fp32_params" not in name:
        return name
    return ".".join(part for part in name.split(".") if part not in wrappers)


def wrappers_among(names: Collection[str], *, is_known: bool) -> frozenset[str]:
    """Return the segments that are a wrapper's in these names, of one model.

    `module` is one in a known model, which has no part of that name; in another model only where
    every name has it.
    """
    if is_known or all(_LAWFUL in name.split(".", SEGMENT_LIMIT) for name in names):
        return WRAPPERS
    return WRAPPERS - {_LAWFUL}
