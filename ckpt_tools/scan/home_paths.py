"""Finds paths into a user's home in text, and hides the user's name."""

from __future__ import annotations

import re
from functools import cache
from typing import TYPE_CHECKING, NamedTuple

from ckpt_tools.scan.unescape import overlapping_chunks, unescaped

if TYPE_CHECKING:
    from collections.abc import Iterator

_NAME = r"[^\s/\\\"'<>|:;,)(\]\[{}$*%`~]{1,64}"
_SEP = r"[/\\]{1,4}"
_HOMES = (
    r"[/\\](?P<word>[Hh]ome|[Uu]sers|USERS|[Dd]ocuments and [Ss]ettings|root|scratch|media)"
    rf"(?:{_SEP}(?:\./)?)(?P<name>{_NAME})(?=(?P<more>[/\\])?)"
)
_TILDE = r"~(?<![\w/.~\\!?:-]~)(?P<name>[a-z_][a-z0-9_-]{1,31})/[\w.-]"
_WORDS = ("home", "users", "settings", "root", "scratch", "media", "~")
_MOUNTS = (
    "nfs|mnt|data|gpfs|lustre|beegfs|ceph|var|export|net|storage|cluster|host|usr|scratch|work"
    "|volumes|cygdrive|[a-z]|(?:vol|fs|data|disk)[0-9]{0,3}"
)
_MOUNTED = rf"(?:/{{1,4}}(?:{_MOUNTS})){{1,2}}|/System/Volumes/Data"
_SLASHES = r"[/\\]{0,4}"
_BEFORE = rf"{_SLASHES}(?:[^\w.$/\\-]|:elif|$)"
"""What precedes a path that starts at the root. This and the next three read backwards."""

_DRIVE = rf"{_SLASHES}:(?P<drive>[A-Za-z])(?![A-Za-z])"
_WEB = r"[/\\]?/?/:(?!elif)"
_PATH = r"[\w/.-]*"
_MAX_LEAD = 64
_PLACEHOLDERS = frozenset(
    (
        *("user", "username", "you", "yourname", "your_name", "your-name", "your_username"),
        *("your-username", "your-user", "your_user", "youruser", "me", "name", "myuser", "my-user"),
        *("my_user", "myname", "xxx", "xyz", "...", "…", "..", ".", "shared", "public", "default"),
        *("all users", "someone", "somebody", "anybody", "foo", "guest", "example", "test", "pi"),
        *("ubuntu", "debian", "ec2-user", "jovyan", "vscode", "node", "runner", "runneradmin"),
        *("codespace", "gitpod", "coder", "vagrant", "docker", "app", "appuser", "nonroot"),
        *("lerobot", "robot", "assistant", "homeassistant", "huggingface", "admin", "kaggle"),
        *("colab", "linuxbrew", "conda", "tmp", "temp", "data", "static", "images", "videos"),
        *("usb", "cdrom", "sd", "users"),
    )
)
"""Names in instructions, images and tutorials, which identify no user."""


class _Home(NamedTuple):
    """A path into a home: the part before the name, the name, and its span in the text."""

    lead: str
    name: str
    start: int
    end: int


def homes(text: str) -> Iterator[str]:
    """Yield each home that a path in `text` leads into, such as "/home/ada".

    Names that stand for any user are skipped.
    """
    for _, part in overlapping_chunks(text):
        for view in (part, *unescaped(part)):
            yield from (f"{home.lead}{home.name}" for home in _in(view))


def hidden(text: str) -> str:
    """Return `text` with the user names in paths into homes replaced by an ellipsis."""
    kept: list[str] = []
    done = 0
    for home in sorted(_in(text), key=lambda home: home.start):
        kept += (text[done : home.start], "…")
        done = home.end
    return "".join((*kept, text[done:]))


def _in(text: str) -> Iterator[_Home]:
    lower = text.lower()
    if not any(word in lower for word in _WORDS):
        return
    for match in _compiled(_HOMES).finditer(text):
        lead = _lead(text[max(0, match.start() - _MAX_LEAD) : match.start()], match)
        if lead and _is_user(match["name"]):
            yield _Home(lead, match["name"], *match.span("name"))
    for match in _compiled(_TILDE).finditer(text):
        if _is_user(match["name"]):
            yield _Home("~", match["name"], *match.span("name"))


def _is_user(name: str) -> bool:
    return name.lower().rstrip("0123456789") not in _PLACEHOLDERS and name.strip(".…") != ""


def _lead(before: str, match: re.Match[str]) -> str:
    """Return the part of a path before the name, "" if it does not lead into a home.

    Paths of web pages and relative paths do not.
    """
    word, back = match["word"], before[::-1]
    drive = _compiled(_DRIVE).match(back)
    if drive and word.lower() in ("users", "documents and settings"):
        folder = word.capitalize() if word.lower() == "users" else word
        return f"{drive['drive'].upper()}:\\{folder}\\"
    if match[0][0] != "/" or _compiled(_WEB).match(back):
        return ""
    if not _compiled(_BEFORE).match(back):
        mount = _mount(back)
        return f"{mount}/{word}/" if mount and word.lower() in ("home", "users") else ""
    if word in ("root", "scratch", "media"):
        is_deep = match["more"] is not None or word == "scratch"
        return f"/{word}/" if is_deep and "." not in match["name"] else ""
    return f"/{word}/" if word in ("home", "Users") else ""


def _mount(back: str) -> str:
    """Return the mount point of other machines' homes that `back` spells backwards, "" for none."""
    run = _compiled(_PATH).match(back)
    path = run[0][::-1] if run else ""
    return path if _compiled(_MOUNTED).fullmatch(path) else ""


@cache
def _compiled(expression: str) -> re.Pattern[str]:
    return re.compile(expression)
