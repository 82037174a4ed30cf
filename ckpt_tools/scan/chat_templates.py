"""Chat templates that reach for Python itself.

A template needs messages, loops and filters; whoever renders it outside of a sandbox runs what it
asks for.
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
    "globals|class|mro|bases?|subclasses|builtins|import|init|init_subclass|new|dict|getattribute|getattr|getitem|code|closure|func|self|call|reduce|reduce_ex"
    "|loader|spec|module|wrapped|defaults|kwdefaults|subclasshook|set_name|setattr|delattr|dir|class_getitem"
)
_FAULT = re.compile(rf"(?P<name>__(?:{_NAMES})__)|(?P<attr>\|\s*attr\s*\()")
_ESCAPED = 4 << 20
"""Larger texts with escapes are tokenizers, and reading one twice costs seconds."""


def fault(template: str) -> str:
    """Return what is wrong with a template, "" for nothing."""
    for view in decoded_variants(template):
        found = _FAULT.search(view)
        if found:
            return (
                f"is a template that reaches into Python by {found['name']}"
                if found["name"]
                else "is a template that reaches attributes by names it makes up"
            )
    return ""


def in_json(text: str) -> Iterator[tuple[str, str]]:
    """Yield (JSON pointer, what is wrong) of each template in a JSON text.

    A string under `chat_template`, or one of several there.
    """
    if not (_KEY in text or ("\\u" in text and len(text) < _ESCAPED)) or not (
        "__" in text or "\\" in text or "attr" in text
    ):
        return
    for pointer, key, value in members(text):
        if isinstance(value, str) and (key == _KEY or f"/{_KEY}/" in pointer):
            words = fault(value)
            if words:
                yield pointer, words
