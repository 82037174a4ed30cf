"""Finds secrets in text: tokens, keys, passwords; and redacts them.

At most the first four characters of a secret are shown, and never more than a third. Time is linear
in the text, and in the number of secrets.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from operator import itemgetter
from typing import TYPE_CHECKING, NamedTuple

from ckpt_tools.scan.redact import SHOWN, Known, redacted
from ckpt_tools.scan.secret_patterns import Match, Pattern, patterns, places
from ckpt_tools.scan.unescape import dense, encoded, overlapping_chunks, unescaped

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

MOST = 10_000
"""Secrets that are reported of one text."""

_SHORT = (b"://", b"passw", b"machine", b"private key", b"private-lines")
"""Words of patterns whose secrets can be short, or continue on other lines."""

__all__ = ["MOST", "SHOWN", "Secret", "mask", "redacted", "secrets"]


class Secret(NamedTuple):
    """A secret of some kind ("GitHub token") and its line, 0 where it is behind an escape."""

    kind: str
    value: str
    line: int = 0


def secrets(text: str) -> tuple[Secret, ...]:
    """Return at most MOST secrets in `text`, each once, also behind escapes and in base64."""
    found: dict[str, Secret] = {}
    line, counted = 1, 0
    for offset, part in overlapping_chunks(text):
        for start, kind, value in sorted(_in(part), key=itemgetter(0)):
            at = offset + start
            # Chunks overlap, so lines are counted backwards too.
            line += text.count("\n", counted, at) - text.count("\n", at, counted)
            counted = at
            found.setdefault(value, Secret(kind, value, line))
        for view in filter(None, (encoded(part), *_unescaped(part))):
            for _, kind, value in _in(view):
                found.setdefault(value, Secret(kind, value))
        if len(found) >= MOST:
            break
    return tuple(found.values())[:MOST]


def mask(text: str, known: Iterable[str] | Known = ()) -> str:
    """Return `text` with its secrets redacted, and the longer pieces of the secrets `known`."""
    text = (known if isinstance(known, Known) else Known(known)).cut(text)
    found = secrets(text)
    for secret in found:
        text = text.replace(secret.value, redacted(secret.value))
    return f"(redacted, {len(text):,} characters)" if found and secrets(text) else text


def _unescaped(text: str) -> Iterator[str]:
    """Yield what `text` contains behind escapes, and in base64 there."""
    for view in unescaped(text):
        yield view
        yield encoded(view)


def _in(text: str) -> Iterator[tuple[int, str, str]]:
    """Yield (start, kind, secret) of the secrets in `text` as it is."""
    text, starts = dense(text, _SHORT)
    if not text:
        return
    plain = text.encode("ascii", "replace").decode("ascii")  # of the same length, fast to search
    lower = plain.lower()
    there = {place for word, found in places().items() if word in lower for place in found}
    for pattern in (patterns()[place] for place in sorted(there)):
        for match in _matches(pattern, lower if pattern.lower else plain):
            start, end = match.span("s" if "s" in match.re.groupindex else 0)
            found = Match(text, match.start(), start, end)
            if pattern.accepts(found):
                into, here = starts[bisect_right(starts, (start, len(text) * 2)) - 1]
                yield start - into + here, pattern.name, found.value


def _matches(pattern: Pattern, text: str) -> Iterator[re.Match[str]]:
    expression = re.compile(pattern.pattern)
    if not pattern.anchored:
        yield from expression.finditer(text)
        return
    for word in pattern.words:
        at = text.find(word)
        while at >= 0:
            match = expression.match(text, at)
            if match:
                yield match
            at = text.find(word, match.end() if match else at + len(word))
