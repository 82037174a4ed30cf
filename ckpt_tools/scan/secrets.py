"""Secrets in text: tokens, keys, passwords; and text with the secrets in it made unreadable.

What is shown of a secret are its first four characters at most, and never more than a third. Time
is linear in the text, and in the number of secrets.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from functools import cache
from operator import itemgetter
from typing import TYPE_CHECKING, NamedTuple

from ckpt_tools.scan.redact import SHOWN, Known, redacted
from ckpt_tools.scan.secret_patterns import KINDS, Hit, Kind, compiled, is_real
from ckpt_tools.scan.unescape import dense, encoded, overlapping_chunks, unescaped

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

MOST = 10_000
"""Secrets that are looked for in one text; who has so many looks at the text."""

_SHORT = ("://", "passw", "machine", "private key", "private-lines")
"""Words of kinds whose secrets can be short, or stand on other lines."""

__all__ = ["MOST", "SHOWN", "Secret", "mask", "redacted", "secrets"]


class Secret(NamedTuple):
    """A secret of some kind ("GitHub token") and the line it stands on, 0 where it is hidden in an escape."""

    kind: str
    value: str
    line: int = 0


def secrets(text: str) -> tuple[Secret, ...]:
    """Return the secrets in `text`, each once, also those behind escapes and one level of base64.

    Not more than MOST.
    """
    found: dict[str, Secret] = {}
    line, counted = 1, 0
    for offset, part in overlapping_chunks(text):
        line, counted = line + text.count("\n", counted, offset), offset
        for start, kind, value in sorted(_in(part), key=itemgetter(0)):
            line, counted = line + text.count("\n", counted, offset + start), offset + start
            found.setdefault(value, Secret(kind, value, line))
        line, counted = line - text.count("\n", offset, counted), offset
        for view in _behind(part):
            for _, kind, value in _in(view):
                found.setdefault(value, Secret(kind, value))
        if len(found) >= MOST:
            break
    return tuple(found.values())[:MOST]


def mask(text: str, known: Iterable[str] | Known = ()) -> str:
    """Return `text` with its secrets redacted, and every piece of the secrets `known` that is longer than may be shown."""
    text = (known if isinstance(known, Known) else Known(known)).cut(text)
    found = secrets(text)
    for secret in found:
        text = text.replace(secret.value, redacted(secret.value))
    return f"(redacted, {len(text):,} characters)" if found and secrets(text) else text


def _behind(text: str) -> Iterator[str]:
    """Yield what `text` holds behind escapes and base64."""
    yield encoded(text)
    for view in unescaped(text):
        yield view
        yield encoded(view)


def _in(text: str) -> Iterator[tuple[int, str, str]]:
    """Yield (where it starts, kind, secret) of what stands in `text` as it is."""
    text, places = dense(text, _SHORT)
    plain = text.encode("ascii", "replace").decode(
        "ascii"
    )  # of the same length, and fast to search
    folded = plain.lower()
    for kind in _possible(folded):
        for match in _matches(kind, folded if kind.folded else plain):
            start, end = match.span("s" if "s" in match.re.groupindex else 0)
            hit = Hit(text, match.start(), start, end)
            if kind.holds(hit) and is_real(hit.value):
                there, here = places[bisect_right(places, (start, len(text) * 2)) - 1]
                yield start - there + here, kind.name, hit.value


def _matches(kind: Kind, text: str) -> Iterator[re.Match[str]]:
    """Yield the matches of a kind; of one that starts with its words, where they stand."""
    expression = compiled(kind.expression)
    if not kind.leads:
        yield from expression.finditer(text)
        return
    for word in kind.words:
        at = text.find(word)
        while at >= 0:
            match = expression.match(text, at)
            if match:
                yield match
            at = text.find(word, match.end() if match else at + len(word))


def _possible(folded: str) -> tuple[Kind, ...]:
    """Return the kinds whose words occur: by their first letters in one search, then each."""
    first = set(_hints().findall(folded))
    words = {word for kind in KINDS for word in kind.words if word[0] in first}
    there = {word for word in words if word in folded}
    return tuple(kind for kind in KINDS if not there.isdisjoint(kind.words))


@cache
def _hints() -> re.Pattern[str]:
    """Return what finds the first letter of every word of a kind, of several in one place only once."""
    rests: dict[str, list[str]] = {}
    for word in sorted({word for kind in KINDS for word in kind.words}):
        rests.setdefault(word[0], []).append(re.escape(word[1:]))
    return re.compile(
        "|".join(f"{re.escape(letter)}(?={'|'.join(rest)})" for letter, rest in rests.items())
    )
