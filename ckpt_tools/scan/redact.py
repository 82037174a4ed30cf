"""Redacts secrets, and pieces of known secrets in other texts."""

from __future__ import annotations

from bisect import bisect_left
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

SHOWN = 4
"""Characters of a secret that may be shown."""

_COMPARED = 256
"""Characters by which a text is compared with the sorted secrets."""


def redacted(value: str) -> str:
    """Return what may be shown of a secret."""
    return f"{value[: min(SHOWN, len(value) // 3)]}… ({len(value):,} characters)"


class Known:
    """Any number of known secrets, of which pieces are redacted.

    The time grows with the text, and hardly with their number.
    """

    def __init__(self, values: Iterable[str]) -> None:
        """Sort the secrets by their starts and by their ends."""
        whole = {value for value in values if value}
        self._starts = _by_limit(whole)
        self._ends = _by_limit(value[::-1] for value in whole)

    def cut(self, text: str) -> str:
        """Redact every piece that starts or ends a secret and is longer than may be shown."""
        if not self._starts:
            return text
        return _cut(_cut(text, self._starts)[::-1], self._ends, backwards=True)[::-1]


def _by_limit(values: Iterable[str]) -> dict[int, list[str]]:
    """Return the sorted values by how many characters of them are too many."""
    found: dict[int, list[str]] = {}
    for value in sorted(values):
        found.setdefault(_too_many(value), []).append(value)
    return found


def _too_many(value: str) -> int:
    """Return the number of characters of a secret that must not be shown."""
    return min(max(SHOWN + 1, min(2 * SHOWN, len(value) // 3)), len(value))


def _cut(text: str, known: dict[int, list[str]], *, backwards: bool = False) -> str:
    kept: list[str] = []
    at = done = 0
    while at < len(text):
        length, value = max(_longest(text, at, values, limit) for limit, values in known.items())
        if length:
            value = value[::-1] if backwards else value
            shown = redacted(value) if _too_many(value) > SHOWN else "…"
            kept += (text[done:at], shown[::-1] if backwards else shown)
            done = at + length
        at = max(at + 1, done)
    return "".join((*kept, text[done:]))


def _longest(text: str, at: int, values: list[str], limit: int) -> tuple[int, str]:
    """Return the longest start of a secret at `at` and the secret, (0, "") if below `limit`.

    In sorted order it is a neighbor of the text.
    """
    place = bisect_left(values, text[at : at + _COMPARED])
    length, value = max(
        (_shared(value, text, at), value) for value in values[max(0, place - 1) : place + 1]
    )
    return (length, value) if length >= limit else (0, "")


def _shared(value: str, text: str, at: int) -> int:
    limit = min(len(value), len(text) - at)
    return next((length for length in range(limit) if value[length] != text[at + length]), limit)
