"""JSON text to values, as strict as RFC 8259 and the reference library's parser.

And the place of each value in the text.

Python's `json` accepts NaN, repeated keys, lone surrogates and integers of any size, and reads `-0`
as an integer. `scan` accepts none of these but repeated keys, which it keeps visible (`Repeated`)
so that the caller decides. What the values mean is not known here.
"""

from __future__ import annotations

import json
import re
from math import isinf
from typing import TYPE_CHECKING

from ckpt_tools.errors import (
    JsonInvalid,
    JsonKeyRepeated,
    JsonNotObject,
    JsonNotUtf8,
    JsonSyntax,
    JsonTooDeep,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

DEPTH_LIMIT = 127
"""Nesting that serde_json, the reference library's parser, still reads."""

type Json = bool | int | float | str | list[Json] | dict[str, Json] | None
type JsonObject = dict[str, Json]

_ONE_BRACKET = bytes.maketrans(b"{}", b"[]")
_NO_BRACKETS = bytes(byte for byte in range(256) if byte not in b"[]{}")
# Patterns are compiled when they are first wanted, which for most files is never.
_STRINGS = r'"[^"\\]*+(?:\\.[^"\\]*+)*+"'
_ZEROS = bytes.maketrans(b"123456789", b"000000000")
_LONE_SURROGATE = "[\ud800-\udfff]"


class Repeated(dict[str, "Json"]):
    """An object in whose text a key stands more than once.

    The mapping holds the last value of each; `pairs` holds all of them.
    """

    pairs: list[tuple[str, Json]]


def decode_utf8(data: bytes) -> str:
    """Return `data` as text. Raises JsonNotUtf8 for anything else, a byte order mark included."""
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError as error:
        raise JsonNotUtf8(f"byte {error.start:,} is not UTF-8") from None
    if text.startswith("\ufeff"):
        raise JsonNotUtf8("starts with a byte order mark")
    return text


def parse(text: str) -> Json:
    """Return the value that `text` spells. Raises JsonSyntax, JsonKeyRepeated or JsonTooDeep."""
    return _decode(text, _object_without_repeats)


def parse_object(text: str) -> JsonObject:
    """Return the object that `text` spells. Raises what `parse` does, and JsonNotObject."""
    value = parse(text)
    if not isinstance(value, dict):
        raise JsonNotObject(f"holds {kind(value)} where an object is expected")
    return value


def scan(text: str) -> Json:
    """Return the value that `text` spells, objects with repeated keys as `Repeated`.

    Raises JsonSyntax or JsonTooDeep.

    Accepts what serde_json accepts, which is RFC 8259 with numbers that fit a double and escapes
    that spell Unicode.
    """
    return _decode(text, _object)


def _decode(text: str, object_hook: Callable[[list[tuple[str, Json]]], JsonObject]) -> Json:
    integer = _integer if _has_odd_integer(text) else None
    decoder = json.JSONDecoder(
        object_pairs_hook=object_hook,
        parse_constant=_constant,
        parse_float=_float,
        parse_int=integer,
    )
    try:
        value: Json = decoder.decode(text)
    except RecursionError:
        raise _too_deep() from None
    except json.JSONDecodeError as error:
        if not text:
            raise JsonSyntax("is empty") from None
        raise JsonSyntax(
            f"line {error.lineno}, column {error.colno}: {error.msg[0].lower()}{error.msg[1:]}"
        ) from None
    if "\\ud" in text or "\\uD" in text:
        _refuse_lone_surrogates(value)
    if text.count("[") + text.count("{") > DEPTH_LIMIT:
        _refuse_depth(text)
    return value


def repeated_key(pairs: list[tuple[str, Json]]) -> str:
    """Return the first key that stands a second time in `pairs`, "" if none does."""
    seen: set[str] = set()
    for key, _ in pairs:
        if key in seen:
            return key
        seen.add(key)
    return ""


def escape(key: str) -> str:
    """Return `key` as a segment of a JSON pointer (RFC 6901, section 3)."""
    return key.replace("~", "~0").replace("/", "~1")


def value_of(text: str) -> tuple[Json, bool]:
    """Return the value of an argument, and whether it is JSON; anything else is a string."""
    try:
        return parse(text), True
    except JsonInvalid:
        return text, False


def kind(value: Json) -> str:
    """Return what `value` is, in JSON's words."""
    names = {
        bool: "a boolean",
        int: "a number",
        float: "a number",
        str: "a string",
        list: "a list",
        type(None): "null",
    }
    return names.get(type(value), "an object")


def _object(pairs: list[tuple[str, Json]]) -> JsonObject:
    value = dict(pairs)
    if len(value) == len(pairs):
        return value
    repeated = Repeated(value)
    repeated.pairs = pairs
    return repeated


def _object_without_repeats(pairs: list[tuple[str, Json]]) -> JsonObject:
    value = dict(pairs)
    if len(value) != len(pairs):
        raise JsonKeyRepeated(
            f"key {json.dumps(repeated_key(pairs))} stands more than once in one object"
        )
    return value


def _constant(name: str) -> Json:
    raise JsonSyntax(f"{name} is not JSON")


def _float(spelling: str) -> float:
    if not fits_double(spelling):
        raise JsonSyntax(
            f"the number {spelling[:20]}{'…' * (len(spelling) > 20)} does not fit a double"  # noqa: PLR2004 - one line
        )
    return float(spelling)


def _has_odd_integer(text: str) -> bool:
    """Whether `text` may spell an integer that Python reads otherwise than a double would.

    -0, or hundreds of digits.
    """
    return "-0" in text or b"0" * 300 in text.encode("utf-8", "surrogatepass").translate(_ZEROS)


def _integer(spelling: str) -> int | float:
    value = _float(spelling)
    return value if spelling == "-0" else int(spelling)


def _too_deep() -> JsonTooDeep:
    return JsonTooDeep(f"nested deeper than {DEPTH_LIMIT}")


def _walk(value: Json) -> Iterator[Json]:
    """Yield `value` and everything in it, keys included, without recursion.

    Depth is the sender's choice.
    """
    stack = [value]
    while stack:
        part = stack.pop()
        yield part
        if isinstance(part, dict):
            pairs = part.pairs if isinstance(part, Repeated) else part.items()
            stack.extend(item for pair in pairs for item in pair)
        elif isinstance(part, list):
            stack.extend(part)


def _refuse_depth(text: str) -> None:
    """Refuse `text`, which is JSON, if it nests too deep.

    Works on its brackets alone: a walk over 100,000 tensors would cost more than parsing them.
    """
    brackets = _outside_strings(text).encode().translate(_ONE_BRACKET, delete=_NO_BRACKETS)
    for _ in range(DEPTH_LIMIT):
        # One pass removes the innermost pairs, so as many passes empty it as it has levels.
        brackets = brackets.replace(b"[]", b"")
        if not brackets:
            return
    raise _too_deep()


def openers(text: str) -> int:
    """Return how many objects and lists `text` opens, if it is JSON.

    Brackets in strings do not count.
    """
    return sum(map(_outside_strings(text).count, "[{")) if text.count("[") + text.count("{") else 0


def _outside_strings(text: str) -> str:
    return re.sub(_STRINGS, "", text) if "\\" in text else "".join(text.split('"')[::2])


def _refuse_lone_surrogates(value: Json) -> None:
    for part in _walk(value):
        if isinstance(part, str) and re.search(_LONE_SURROGATE, part):
            raise JsonSyntax(f"the string {part!r} holds half of a surrogate pair")


_NUMBER = r"-?(?P<whole>\d+)(?:\.(?P<fraction>\d+))?(?:[eE](?P<power>[+-]?\d+))?"
_WORD_LIMIT = 1 << 64
_LARGEST_POWER = 308
_POWER_DIGITS = 10
_FAR_FROM_THE_EDGE = 1e300


def fits_double(spelling: str) -> bool:
    """Whether serde_json reads the JSON number `spelling`.

    It keeps as many digits as fit 64 bits, and multiplies by a power of ten once.
    """
    if abs(float(spelling)) < _FAR_FROM_THE_EDGE:
        return True
    match = re.fullmatch(_NUMBER, spelling)
    if match is None:
        return False
    significand, dropped = _leading_digits(0, match["whole"])
    exponent = dropped
    if match["fraction"] and not dropped:
        significand, unread = _leading_digits(significand, match["fraction"])
        exponent -= len(match["fraction"]) - unread
    exponent += _power(match["power"] or "0")
    return exponent <= _LARGEST_POWER and not isinf(float(significand) * 10.0**exponent)


def _leading_digits(significand: int, digits: str) -> tuple[int, int]:
    """Return (significand with as many of `digits` appended as fit 64 bits, how many did not)."""
    for position, digit in enumerate(digits):
        longer = significand * 10 + int(digit)
        if longer >= _WORD_LIMIT:
            return significand, len(digits) - position
        significand = longer
    return significand, 0


def _power(spelling: str) -> int:
    """Return an exponent; one of more digits than any double has as one that is out of reach."""
    digits = spelling.lstrip("+-").lstrip("0") or "0"
    size = int(digits) if len(digits) <= _POWER_DIGITS else 10**_POWER_DIGITS
    return -size if spelling.startswith("-") else size
