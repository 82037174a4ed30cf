"""What JSON files hold, for rules that look at every one of them, also at those that are no strict JSON: a reader in a hurry takes them all the same."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING

from ckpt_tools.scan.unescape import decoded_variants
from ckpt_tools.strict_json.parse import escape

if TYPE_CHECKING:
    from collections.abc import Iterator


def lax(text: str) -> object:
    """Return what Python's own `json` makes of `text`, None where it makes nothing."""
    try:
        found: object = json.loads(text.removeprefix("\ufeff"))
    except (ValueError, RecursionError):
        return None
    return found


def keys(text: str, names: tuple[str, ...]) -> Iterator[tuple[str, str]]:
    """Yield (JSON pointer, key) of each key in `text` that is one of `names` and whose value is not false, null or empty; "" for one in broken JSON."""
    if not any(name in text for name in names) and "\\u" not in text:
        return
    value = lax(text)
    if value is None:
        plain = decoded_variants(text)[-1]
        yield from (("", name) for name in names if re.search(rf'"{name}"\s*:', plain))
        return
    yield from ((place, key) for place, key, item in _walked(value) if key in names and item)


def members(text: str) -> Iterator[tuple[str, str, object]]:
    """Yield (JSON pointer, key, value) of everything in every object in `text`, nothing where it is no JSON."""
    return _walked(lax(text))


def _walked(value: object) -> Iterator[tuple[str, str, object]]:
    stack: list[tuple[str, object]] = [("", value)]
    while stack:
        pointer, part = stack.pop()
        if isinstance(part, dict):
            found = [(f"{pointer}/{escape(key)}", key, item) for key, item in part.items()]
            yield from found
            stack.extend((place, item) for place, _, item in found)
        elif isinstance(part, list):
            stack.extend((f"{pointer}/{index}", item) for index, item in enumerate(part))
