"""The position of each value of a JSON text, so that an edit changes only those characters.

The text is one that `parse` accepts.
"""

from __future__ import annotations

import json
import re
from typing import NamedTuple

from ckpt_tools.strict_json.parse import escape

_BLANK = re.compile(r"[ \t\n\r]*")
_STRING = re.compile(r'"[^"\\]*+(?:\\.[^"\\]*+)*+"')
_SCALAR = re.compile(r"[^\s,\]}]+")

type Span = tuple[int, int]


class Member(NamedTuple):
    """One value.

    Its JSON pointer (RFC 6901), its span, and the span of its key (empty for list items and the
    root). Spans in characters.
    """

    pointer: str
    value: Span
    key: Span


def spans(text: str) -> dict[str, Member]:
    """Return every value in `text` by JSON pointer, in the order of their ends; the root under "".

    `parse(text[slice(*member.value)])` is the value at that pointer.
    """
    found: dict[str, Member] = {}
    _value(text, _skip(text, 0), "", (0, 0), found)
    return found


def _skip(text: str, at: int) -> int:
    blank = _BLANK.match(text, at)
    return blank.end() if blank else at


def _token(pattern: re.Pattern[str], text: str, at: int) -> int:
    match = pattern.match(text, at)
    if match is None:
        raise ValueError(f"character {at} starts no JSON value")
    return match.end()


def _value(text: str, at: int, pointer: str, key: Span, found: dict[str, Member]) -> int:
    """Record the value that starts at `at` and everything in it; return where it ends."""
    opener = text[at : at + 1]
    if opener in ("{", "["):
        end = _children(text, at + 1, pointer, found)
    else:
        end = _token(_STRING if opener == '"' else _SCALAR, text, at)
    found[pointer] = Member(pointer=pointer, value=(at, end), key=key)
    return end


def _children(text: str, at: int, pointer: str, found: dict[str, Member]) -> int:
    """Record the members or items of a container from `at` on; return where it ends."""
    is_object = text[at - 1] == "{"
    at = _skip(text, at)
    index = 0
    while text[at] not in "]}":
        name, key = str(index), (0, 0)
        if is_object:
            key = (at, _token(_STRING, text, at))
            name = json.loads(text[slice(*key)])
            colon = _skip(text, key[1])
            at = _skip(text, colon + 1)
        at = _skip(text, _value(text, at, f"{pointer}/{escape(name)}", key, found))
        index += 1
        if text[at] == ",":
            at = _skip(text, at + 1)
    return at + 1
