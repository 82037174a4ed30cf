"""Paths into somebody's home in a text, and how they are shown: without the name."""

from __future__ import annotations

import re
from functools import cache
from typing import TYPE_CHECKING

from ckpt_tools.rules.views import views

if TYPE_CHECKING:
    from collections.abc import Iterator

_WORDS = ("/home/", "/Users/", "/root", "\\\\Users\\\\"[1:-1], "file://")
_HOMES = (
    r"(?<![\w.-])(?P<before>/(?:home|Users)/)(?P<name>[^\s/\\\"'<>|:;,)(\]\[{}$*%`]{1,64})"
    r"|(?P<drive>[A-Za-z]:[\\/]{1,4}(?:Users|Documents and Settings)[\\/]{1,4})(?P<user>[^\s/\\\"'<>|:;,)(\]\[{}$*%`]{1,64})"
    r"|(?<![\w./-])(?P<root>/root)(?=[/\"'\s,]|$)"
    r"|(?P<file>file://)[^\s\"'<>]{2,400}"
)
_ANYBODY = frozenset(("user", "username", "you", "yourname", "your_name", "your-name", "your_username", "me", "name", "xxx", "...", "…", "shared", "public"))


def homes(text: str) -> Iterator[str]:
    """Yield each home that a path in `text` leads into, such as "/home/ada", "/root", "file://"; what stands for any user is none."""
    if not any(word in text.replace("\\/", "/") for word in _WORDS) and "Users" not in text and "\\u" not in text and "%2" not in text:
        return
    for view in views(text):
        for match in _compiled().finditer(view):
            name = match["name"] or match["user"]
            if match["root"] or match["file"]:
                yield match["root"] or match["file"]
            elif name.lower() not in _ANYBODY:
                yield f"{match['before'] or match['drive']}{name}"


def hidden(text: str) -> str:
    """Return `text` with the names in paths into homes left out."""
    if "/home/" not in text and "Users" not in text:
        return text
    return _compiled().sub(lambda match: f"{match['before'] or match['drive']}…" if match["name"] or match["user"] else match[0], text)


@cache
def _compiled() -> re.Pattern[str]:
    return re.compile(_HOMES)
