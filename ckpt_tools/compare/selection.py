"""Which tensors, values and files a comparison looks at: globs over dotted addresses.

A tensor's address is its name, a file's its path, a value's its file without `.json` and the keys down to it: `train_config.policy.device`.
In a glob `*` stands for any part of one segment between dots, `**` for any number of segments, `?` for one character.
"""

from __future__ import annotations

import re


def glob_to_regex(glob: str) -> re.Pattern[str]:
    """Return the expression that a full address must match. `**` at the start or end also matches no segment at all."""
    tokens = re.findall(r"\*\*\.|\.\*\*$|\*\*|\*|\?|[^*?.]+|\.", glob)
    return re.compile("".join(_TOKENS.get(token) or re.escape(token) for token in tokens), re.DOTALL)


_TOKENS = {"**.": r"(?:.*\.)?", ".**": r"(?:\..*)?", "**": ".*", "*": r"[^.]*", "?": r"[^.]"}


class Selection:
    """Addresses that match one of `select` (all, where it is empty) and none of `ignore`, both globs."""

    __slots__ = ("_ignore", "_select")

    def __init__(self, select: tuple[str, ...] = (), ignore: tuple[str, ...] = ()) -> None:
        self._select = [glob_to_regex(glob) for glob in select]
        self._ignore = [glob_to_regex(glob) for glob in ignore]

    def __contains__(self, address: str) -> bool:
        """Whether the address is looked at."""
        chosen = not self._select or any(pattern.fullmatch(address) for pattern in self._select)
        return chosen and not any(pattern.fullmatch(address) for pattern in self._ignore)


EVERYTHING = Selection()


def value_address(path: str, pointer: str) -> str:
    """Return the dotted address of the value at the JSON pointer `pointer` in the file `path`."""
    keys = [segment.replace("~1", "/").replace("~0", "~") for segment in pointer.split("/")[1:]]
    return ".".join([path.removesuffix(".json"), *keys])
