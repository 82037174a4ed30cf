"""Reads JSON files for rules, also those that are not strict: lax readers accept them."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING

from ckpt_tools.scan.unescape import decoded_variants
from ckpt_tools.strict_json.parse import escape

if TYPE_CHECKING:
    from collections.abc import Iterator


def lax(text: str) -> object:
    """Parse `text` as Python's `json` does. Returns None where it fails."""
    try:
        found: object = json.loads(text.removeprefix("\ufeff"))
    except (ValueError, RecursionError):
        return None
    return found


def keys(text: str, names: tuple[str, ...]) -> Iterator[tuple[str, str]]:
    """Yield (JSON pointer, key) of each key in `names` whose value is not false, null or empty.

    In broken JSON the pointer is "".
    """
    if not any(name in text for name in names) and "\\u" not in text:
        return
    value = lax(text)
    if value is None:
        plain = decoded_variants(text)[-1]
        yield from (("", name) for name in names if re.search(rf'"{name}"\s*:', plain))
        return
    yield from ((pointer, key) for pointer, key, item in _walked(value) if key in names and item)


def members(text: str) -> Iterator[tuple[str, str, object]]:
    """Yield (JSON pointer, key, value) of every member of every object, nothing for broken JSON."""
    return _walked(lax(text))


def _walked(value: object) -> Iterator[tuple[str, str, object]]:
    stack: list[tuple[str, object]] = [("", value)]
    while stack:
        pointer, part = stack.pop()
        if isinstance(part, dict):
            for key, item in part.items():
                stack.append((f"{pointer}/{escape(key)}", item))
                yield stack[-1][0], key, item
        elif isinstance(part, list):
            stack.extend((f"{pointer}/{index}", item) for index, item in enumerate(part))
