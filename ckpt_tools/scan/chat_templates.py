"""Detects chat templates that reach into Python itself.

A template needs messages, loops and filters; rendering one outside a sandbox runs whatever it says.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from ckpt_tools.scan.json_files import members
from ckpt_tools.scan.unescape import decoded_variants

if TYPE_CHECKING:
    from collections.abc import Iterator

_KEY = "chat_template"
_NAMES = (
    "globals|class|mro|bases?|subclasses|builtins|import|init|init_subclass|new|dict|getattribute"
    "|getattr|getitem|code|closure|func|self|call|reduce|reduce_ex|loader|spec|module|wrapped"
    "|defaults|kwdefaults|subclasshook|set_name|setattr|delattr|dir|class_getitem"
)
_FAULT = re.compile(rf"(?P<name>__(?:{_NAMES})__)|(?P<attr>\|\s*attr\s*\()")
_ESCAPED = 4 << 20
"""Larger texts with escapes are tokenizers, and reading one twice takes seconds."""


def fault(template: str) -> str:
    """Return what is wrong with a template, "" for nothing."""
    for view in decoded_variants(template):
        found = _FAULT.search(view)
        if found and found["name"]:
            return f"is a template that reaches into Python by {found['name']}"
        if found:
            return "is a template that accesses attributes by computed names"
    return ""


def in_json(text: str) -> Iterator[tuple[str, str]]:
    """Yield (JSON pointer, fault) of each template in a JSON text.

    A template is a string under `chat_template`, or one of several in the value of that key.
    """
    has_key = _KEY in text or ("\\u" in text and len(text) < _ESCAPED)
    if not has_key or not any(sign in text for sign in ("__", "\\", "attr")):
        return
    for pointer, key, value in members(text):
        is_template = key == _KEY or f"/{_KEY}/" in pointer
        if is_template and isinstance(value, str) and (what := fault(value)):
            yield pointer, what
