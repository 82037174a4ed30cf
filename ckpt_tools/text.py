"""Text for people: sizes, counts, ratios, JSON values on one line, escaped names."""

from __future__ import annotations

import json
import re
from itertools import takewhile, zip_longest
from math import inf
from typing import TYPE_CHECKING

from ckpt_tools.strict_json.pointer import ABSENT

if TYPE_CHECKING:
    from ckpt_tools.storage.hub_name import Transfer

_VALUE_WIDTH = 60
_NAME_WIDTH = 240
_KILO = 1000
_MOST_IN_PERCENT = 1e4


def size(nbytes: int) -> str:
    """Return a size in powers of 1000, as the Hub writes it: 906.7 MB, 1.2 GB."""
    value = float(abs(nbytes))
    unit = "B"
    for unit in ("B", "kB", "MB", "GB", "TB"):  # noqa: B007 - the unit it stops at is the result
        if value < _KILO:
            break
        value /= _KILO
    number = f"{value:.0f}" if unit == "B" or value >= 100 else f"{value:.1f}"  # noqa: PLR2004 - three digits are enough
    return f"{'-' * (nbytes < 0)}{number} {unit}"


def count(number: int, noun: str) -> str:
    """Return a number of things: "1 tensor", "1,000 tensors"."""
    return f"{number:,} {noun}{'s' * (number != 1)}"


def transferred(what: Transfer) -> str:
    """Return a sentence on what was read from the Hub."""
    if not what.requests:
        return "read from the cache only: files that the cache lacks count as missing"
    requests = count(what.requests, "request")
    return f"read {size(what.received)} of {size(what.total)} from the Hub in {requests}"


def change(nbytes: int) -> str:
    """Return a difference in bytes with its sign; "" for none."""
    return f"{'+' * (nbytes > 0)}{size(nbytes)}" if nbytes else ""


def signed(number: int) -> str:
    """Return a difference with its sign; "" for none."""
    return f"{number:+,}" if number else ""


_NEARLY_ALL = 0.995
"""From here on, two digits would say 100."""


def percent(ratio: float) -> str:
    """Return a ratio in percent with two significant digits, a multiple beyond a million percent.

    A ratio to zero is "from zero".
    """
    if ratio == inf:
        return "from zero"
    if ratio > _MOST_IN_PERCENT:
        return f"{ratio:.2g} times".replace("e+0", "e").replace("e+", "e")
    if ratio < 1:
        return f"{100 * ratio:.2g} %" if ratio < _NEARLY_ALL else f"{min(100 * ratio, 99.9):.1f} %"
    return f"{100 * ratio:,.0f} %"


def value(item: object, width: float = _VALUE_WIDTH) -> str:
    """Return a JSON value on one line of at most `width` characters; ABSENT as the word."""
    if item is ABSENT:
        return "absent"
    whole = json.dumps(item, ensure_ascii=False)
    if width == inf:
        return whole
    text = printable(whole)
    if len(text) <= width:
        return text
    end = text[-1] if text[-1] in '"]}' else ""  # what opens is closed
    return f"{text[: int(width) - 1 - len(end)]}…{end}"


def changed_value(a: object, b: object, width: int = _VALUE_WIDTH) -> str:
    """Return `A -> B` of two JSON values; the first difference where both are cut before it."""
    left, right = value(a, width), value(b, width)
    if left == right and isinstance(a, list) and isinstance(b, list):
        pairs = list(zip_longest(a, b, fillvalue=ABSENT))
        differ = [at for at, (one, two) in enumerate(pairs) if value(one, inf) != value(two, inf)]
        if differ:
            first = changed_value(*pairs[differ[0]], width)
            return f"[{differ[0]}]: {first} ({len(differ):,} of {count(len(pairs), 'element')})"
    if left == right and isinstance(a, str) and isinstance(b, str):
        common = sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], zip(a, b, strict=False)))
        start = max(0, common - width // 4)
        left, right = (f"…{value(text[start:], width)}" for text in (a, b))
    return f"{left} -> {right}"


def placed(path: str, subject: str, what: str) -> str:
    """Return `path: subject: what`, escaped, without a subject that `what` names itself.

    A subject is a tensor or a JSON pointer, which is named by its key. A plain word, such as a
    tensor `weight`, may be there in another sense.
    """
    name = printable(subject.removeprefix("/"))
    whole = rf"(?<![\w./]){re.escape(name)}(?![\w/]|\.\w)"
    is_named = name and not name.isalpha() and re.search(whole, what)
    places = (path, "" if is_named else subject)
    return "".join(f"{printable(place)}: " for place in places if place) + escaped(what)


def printable(text: str, longest: int = _NAME_WIDTH) -> str:
    """Return a name from a file with control characters escaped and a very long middle left out.

    A terminal obeys what it is sent, and nobody reads ten thousand characters; JSON output has
    names in full.
    """
    if len(text) > longest:
        text = f"{text[: longest // 2]}…{text[-longest // 2 :]}"
    return escaped(text)


def escaped(text: str) -> str:
    """Return `text` with control characters escaped."""
    if text.isprintable():
        return text
    return "".join(letter if letter.isprintable() else repr(letter)[1:-1] for letter in text)
