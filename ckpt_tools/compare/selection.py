"""Which tensors, values and files a comparison looks at: globs over dotted addresses.

A tensor's address is its name, a file's its path, a value's its file without `.json` and the keys down to it: `train_config.policy.device`.
In a glob `*` stands for any part of one segment between dots, `**` for any number of segments, `?` for one character; `[*]`, `[?]` and `[[]` stand for
the characters themselves.
"""

from __future__ import annotations

import re

TOKENS = re.compile(r"\[[*?\[]\]|\*\*\.|\.\*\*$|\*\*|\*|\?|[^*?.\[]+|\.|\[")
"""What a glob is made of."""


def literal(address: str) -> str:
    """Return the glob that names `address` and nothing else."""
    return re.sub(r"[*?\[]", r"[\g<0>]", address)


def spelled(glob: str) -> str | None:
    """Return the one address that a glob without wildcards names, None for one with wildcards."""
    tokens = TOKENS.findall(glob)
    return None if any(token in _TOKENS for token in tokens) else "".join(plain(token) for token in tokens)


def plain(token: str) -> str:
    """Return what a token that is no wildcard stands for."""
    return token[1] if len(token) == 3 and token[0] == "[" and token[2] == "]" else token  # noqa: PLR2004 - a character in brackets


def glob_to_regex(glob: str) -> re.Pattern[str]:
    """Return the expression that a full address must match. `**` at the start or end also matches no segment at all."""
    return re.compile("".join(_TOKENS.get(token) or re.escape(plain(token)) for token in TOKENS.findall(glob)), re.DOTALL)


_TOKENS = {"**.": r"(?:.*\.)?", ".**": r"(?:\..*)?", "**": ".*", "*": r"[^.]*", "?": r"[^.]"}


class Selection:
    """Addresses that match one of `select` (all, where it is empty) and none of `ignore`, both globs."""

    __slots__ = ("_everything", "_ignore", "_named", "_select")

    def __init__(self, select: tuple[str, ...] = (), ignore: tuple[str, ...] = ()) -> None:
        named = {glob: spelled(glob) for glob in select}
        self._everything = not select
        self._named = {address for address in named.values() if address is not None}  # a plan may name thousands
        self._select = [glob_to_regex(glob) for glob, address in named.items() if address is None]
        self._ignore = [glob_to_regex(glob) for glob in ignore]

    def __contains__(self, address: str) -> bool:
        """Whether the address is looked at."""
        chosen = self._everything or address in self._named or any(pattern.fullmatch(address) for pattern in self._select)
        return chosen and not any(pattern.fullmatch(address) for pattern in self._ignore)


EVERYTHING = Selection()


def value_address(path: str, pointer: str) -> str:
    """Return the dotted address of the value at the JSON pointer `pointer` in the file `path`."""
    keys = [segment.replace("~1", "/").replace("~0", "~") for segment in pointer.split("/")[1:]]
    return ".".join([path.removesuffix(".json"), *keys])
