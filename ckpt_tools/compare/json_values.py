"""Which values differ between two JSON values, by JSON pointer (RFC 6901)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ckpt_tools.format.json_text import escape
from ckpt_tools.records.diff import ABSENT

if TYPE_CHECKING:
    from collections.abc import Iterator


def differences(a: object, b: object, pointer: str = "") -> Iterator[tuple[str, object, object]]:
    """Yield (pointer, in A, in B) for every value that differs, ABSENT where there is none. Lists differ as a whole, 1 and 1.0 and true do too."""
    if isinstance(a, dict) and isinstance(b, dict):
        for key in sorted(a.keys() | b.keys()):
            yield from differences(a.get(key, ABSENT), b.get(key, ABSENT), f"{pointer}/{escape(key)}")
    elif not _equal(a, b):
        yield pointer, a, b


def pointers(value: object, pointer: str = "") -> Iterator[str]:
    """Yield the pointer of every value that `differences` can name in `value`: the root, and whatever objects hold at any depth."""
    yield pointer
    for key, item in value.items() if isinstance(value, dict) else ():
        yield from pointers(item, f"{pointer}/{escape(key)}")


def _equal(a: object, b: object) -> bool:
    """Whether two values are alike in type and value; NaN, which processor state can hold, is like NaN."""
    if type(a) is not type(b):
        return False
    if isinstance(a, list) and isinstance(b, list):
        return len(a) == len(b) and all(map(_equal, a, b))
    if isinstance(a, dict) and isinstance(b, dict):
        return a.keys() == b.keys() and all(_equal(value, b[key]) for key, value in a.items())
    return a == b or (a != a and b != b)  # noqa: PLR0124 - only NaN differs from itself
