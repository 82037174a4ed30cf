"""Undoes the escapes in a text, so that it reads as a program would see it.

Large texts are processed in overlapping windows, and only the surroundings of escapes are copied:
time is linear in the text's length, and memory is bounded.
"""

from __future__ import annotations

import binascii
import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

ROUNDS = 3
"""A JSON text in a JSON string has its escapes escaped again."""

WINDOW = 1 << 18
OVERLAP = 1 << 13
"""Characters that adjacent windows share. No secret is longer, unless most of it is escaped."""

AROUND = 1 << 10
"""Characters before and after an escape that are processed with it."""

_GAP = 512
_HEX = "[2-7][0-9a-fA-F]|0[9aAdD]"
_ESCAPE = (
    rf"\\(?:u00({_HEX})|U000000({_HEX})|u\{{0{{0,4}}({_HEX})\}}|x({_HEX})"
    r"|(0[4-7][0-7]|1[0-7][0-7])|([nrtbf!-/:-@\[-`{-~]))"
)
_PERCENT = rf"%({_HEX})"
_ENTITY = r"&(?:#[xX]0{0,6}([0-9a-fA-F]{1,2})|#0{0,6}([0-9]{1,3})|([A-Za-z]{2,8}));"
_ANY = rf"\\(?!u0[1-9a-fA-F]|u[1-9a-fA-F])|%(?:{_HEX})|&[#A-Za-z]"
_OCTAL, _LETTER = 5, 6
_BACKSLASH = "\x7f"
"""Replaces an escaped backslash until the other escapes are undone."""

_LETTERS = {"n": "\n", "r": "\r", "t": "\t", "b": "\b", "f": "\f"}
_NAMES = (
    "amp quot lt gt apos lowbar UnderBar period colon sol bsol commat equals num dollar "
    "percnt plus hyphen dash nbsp NewLine Tab excl quest ast comma semi lpar rpar lsqb rsqb "
    "lcub rcub"
)
_NAMED = dict(zip(_NAMES.split(), "&\"<>'__.:/\\@=#$%+-- \n\t!?*,;()[]{}", strict=True))
_RUN = b"a" * 24
_WORD = b"a" * 15
"""Shorter than any secret that occurs without a keyword."""

_BEFORE, _AFTER = 192, 64
_SIGNS = b"+/-_=.~%:@"
_LINE = 60
"""Base64 is wrapped at 60 characters or more."""

_STANDARD = bytes.maketrans(b"-_", b"+/")
_ALPHABET = (
    bytes(97 if chr(code).isalnum() or code in b"+/-_" else 32 for code in range(128)) + b" " * 128
)
_WORDY = (
    bytes(97 if chr(code).isalnum() or code in _SIGNS else 32 for code in range(128)) + b" " * 128
)


def decoded_variants(text: str) -> tuple[str, ...]:
    """Return `text` and what it becomes each time its escapes are undone.

    These are the escapes of JSON, Markdown, programming languages, URLs and HTML.
    """
    found = [text]
    for _ in range(ROUNDS):
        plain = _plain(found[-1])
        if plain == found[-1]:
            break
        found.append(plain)
    return tuple(found)


def overlapping_chunks(text: str) -> Iterator[tuple[int, str]]:
    """Yield the parts of `text` with their offsets.

    Each shares OVERLAP characters with the next, and words are not cut where that is possible.
    """
    if len(text) <= WINDOW + OVERLAP:
        yield 0, text
        return
    for at in range(0, len(text), WINDOW):
        start, end = _gap(text, at), at + WINDOW + OVERLAP
        yield start, text[start : _gap(text, end) if end < len(text) else end]
        if end >= len(text):
            return


def unescaped(text: str) -> Iterator[str]:
    """Yield what the surroundings of the escapes in `text` become each time they are undone.

    Each is at most as long as `text`.
    """
    for _ in range(ROUNDS):
        around = "\n\n".join(_around(text))
        text = _plain(around)
        if text == around:
            return
        yield text


def encoded(text: str) -> str:
    """Return the decoded runs of base64 in `text`, one per line.

    Each run is decoded from each of four starts.
    """
    data = text.encode("ascii", "replace")
    lines = (
        _decoded(run[start:])
        for run in _runs(data, data.translate(_ALPHABET))
        for start in range(4)
    )
    return "\n".join(line for line in lines if line)


def dense(text: str, words: tuple[bytes, ...]) -> tuple[str, tuple[tuple[int, int], ...]]:
    """Return the parts of `text` that could contain a secret, joined, and where each starts.

    They are the surroundings of long runs without a gap, and of `words` in any case: a small part
    of prose or of a vocabulary. A start is given in the joined text and in `text`.
    """
    data = text.encode("ascii", "replace")
    flat, folded = data.translate(_WORDY), data.lower()
    spans = [
        *_spans(flat, _WORD, len(_WORD)),
        *(span for word in words if word in folded for span in _spans(folded, word, 0)),
    ]
    parts: list[str] = []
    places: list[tuple[int, int]] = []
    length = 0
    for start, end in _merged(sorted(spans), len(text)):
        places.append((length, start))
        parts.append(text[start:end])
        length += end - start + 1
    return "\n".join(parts), tuple(places)


def _spans(data: bytes, word: bytes, run: int) -> Iterator[tuple[int, int]]:
    """Yield the spans around `word` in `data`; with `run`, to the end of the run that it starts."""
    at = data.find(word)
    while at >= 0:
        end = data.find(b" ", at + run) if run else at + _BEFORE
        end = len(data) if end < 0 else end
        yield max(0, at - _BEFORE), end + _AFTER
        at = data.find(word, end)


def _merged(spans: list[tuple[int, int]], length: int) -> Iterator[tuple[int, int]]:
    """Merge spans that touch."""
    at = done = 0
    for start, end in spans:
        if start > done + _AFTER:
            if done:
                yield at, done
            at = start
        done = max(done, min(end, length))
    if done:
        yield at, done


def _gap(text: str, at: int) -> int:
    """Return a position at `at` or shortly before it where no word is cut."""
    return max(text.rfind(sign, max(0, at - _GAP), at) for sign in ' \n",') + 1 or at


def _around(text: str) -> Iterator[str]:
    """Yield the parts of `text` around escapes."""
    if not any(map(text.__contains__, "\\%&")):
        return
    find = re.compile(_ANY).search
    found = find(text)
    while found:
        start = last = found.start()
        while True:
            later = max(text.rfind(sign, last + 1, last + 2 * AROUND) for sign in "\\%&")
            if later < 0:
                break
            last = later
        end = last + AROUND
        end = _gap(text, end) if end < len(text) else len(text)
        yield text[_gap(text, max(0, start - AROUND)) : end]
        found = find(text, last + 1)


def _runs(data: bytes, flat: bytes) -> Iterator[bytes]:
    """Yield the runs of base64 in `data`, wrapped ones joined; `flat` marks the letters."""
    at = flat.find(_RUN)
    while at >= 0:
        lines = []
        while True:
            end = flat.find(b" ", at)
            end = len(flat) if end < 0 else end
            lines.append(data[at:end])
            skip = 1 + (data[end : end + 1] == b"\r")
            wrapped = (
                end - at >= _LINE
                and data[end + skip - 1 : end + skip] == b"\n"
                and flat[end + skip : end + skip + 1] == b"a"
            )
            at = end + skip
            if not wrapped:
                break
        yield b"".join(lines)
        at = flat.find(_RUN, end)


def _decoded(run: bytes) -> str:
    whole = run[: len(run) - (len(run) % 4 == 1)]
    try:
        data = binascii.a2b_base64(whole.translate(_STANDARD) + b"=" * (-len(whole) % 4))
    except ValueError:
        return ""
    return data.decode("latin-1")


def _plain(text: str) -> str:
    if "\\" in text:
        text = (
            text.replace("\\\\", _BACKSLASH)
            .replace("\\/", "/")
            .replace('\\"', '"')
            .replace("\\n", "\n")
        )
        text = re.sub(_ESCAPE, _character, text).replace(_BACKSLASH, "\\")
    if "%" in text:
        text = re.sub(_PERCENT, lambda match: chr(int(match[1], 16)), text)
    return re.sub(_ENTITY, _entity, text) if "&" in text else text


def _character(match: re.Match[str]) -> str:
    spelled = match[match.lastindex or 0]
    if match.lastindex == _LETTER:
        return _LETTERS.get(spelled, spelled)
    return chr(int(spelled, 8 if match.lastindex == _OCTAL else 16))


def _entity(match: re.Match[str]) -> str:
    if match[3]:
        return _NAMED.get(match[3], match[0])
    return chr(int(match[1], 16) if match[1] else int(match[2]))
