"""Arguments of the public verbs: paths, and lists that may be one text.

Paths are strings, or anything that `os.fspath` accepts; below `ckpt_tools.api`, every path is a
string. A text where several are expected is one of them, never its letters.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

type AnyPath = str | os.PathLike[str]


def as_text[Other](given: AnyPath | Other) -> str | Other:
    """Convert a path object to a string.

    Anything else (a string, None, Settings) is returned unchanged.
    """
    return os.fspath(given) if isinstance(given, os.PathLike) else given


def several[Item](given: Iterable[Item] | AnyPath) -> tuple[Item | str, ...]:
    """Return a list of texts or paths, such as globs; one text or path is a list of itself."""
    return (as_text(given),) if isinstance(given, str | os.PathLike) else tuple(given)


def words(given: Iterable[str]) -> tuple[str, ...]:
    """Return a list of words, which may be one text with commas, as in options.

    Raises TypeError for what is no text.
    """
    if isinstance(given, str):
        return tuple(word.strip() for word in given.split(",") if word.strip())
    return tuple(map(word, given))


def word(given: str) -> str:
    """Return a text. Raises TypeError for anything else."""
    if not isinstance(given, str):
        raise TypeError(f"expected a string, not {given!r}")
    return given
