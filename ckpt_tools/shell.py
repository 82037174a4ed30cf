"""Commands as a user pastes them into a shell (bash, zsh, ksh)."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable


def join(words: Iterable[str]) -> str:
    """Return a command on one printable line, which a shell splits into `words`."""
    return " ".join(map(quote, words))


def quote(word: str) -> str:
    r"""Return a word quoted for a shell, without characters that a terminal obeys.

    One with a control character, or with a byte that is not UTF-8, becomes `$'a\012b'`. What cannot
    be an argument (NUL, half a surrogate pair) stays: nothing that is quoted would mean it.
    """
    if word.isprintable() or "\0" in word:
        return shlex.quote(word)
    try:
        return f"$'{''.join(map(_escaped, word))}'"
    except UnicodeEncodeError:
        return shlex.quote(word)


def _escaped(letter: str) -> str:
    if letter in "\\'":
        return f"\\{letter}"
    if letter.isprintable():
        return letter
    # Octal has three digits at most, so that it does not take those that follow.
    return "".join(f"\\{byte:03o}" for byte in letter.encode(errors="surrogateescape"))
