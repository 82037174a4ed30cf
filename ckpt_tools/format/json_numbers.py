"""Which numbers the reference library's parser, serde_json, still reads as a double. At the very edge its arithmetic rounds otherwise than Python's."""

from __future__ import annotations

import re
from math import isinf

_NUMBER = r"-?(?P<whole>\d+)(?:\.(?P<fraction>\d+))?(?:[eE](?P<power>[+-]?\d+))?"
_WORD_LIMIT = 1 << 64
_LARGEST_POWER = 308
_POWER_DIGITS = 10
_FAR_FROM_THE_EDGE = 1e300


def fits_double(spelling: str) -> bool:
    """Whether serde_json reads the JSON number `spelling`. It keeps as many digits as fit 64 bits, and multiplies by a power of ten once."""
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
