"""Paths into somebody's home in a text, and how they are shown: without the name."""

from __future__ import annotations

import re
from functools import cache
from typing import TYPE_CHECKING, NamedTuple

from ckpt_tools.scan.unescape import overlapping_chunks, unescaped

if TYPE_CHECKING:
    from collections.abc import Iterator

_NAME = r"[^\s/\\\"'<>|:;,)(\]\[{}$*%`~]{1,64}"
_SEP = r"[/\\]{1,4}"
_HOMES = rf"[/\\](?P<word>[Hh]ome|[Uu]sers|USERS|[Dd]ocuments and [Ss]ettings|root|scratch|media)(?:{_SEP}(?:\./)?)(?P<name>{_NAME})(?=(?P<more>[/\\])?)"
_TILDE = r"~(?<![\w/.~\\!?:-]~)(?P<name>[a-z_][a-z0-9_-]{1,31})/[\w.-]"
_WORDS = ("home", "users", "settings", "root", "scratch", "media", "~")
_MOUNTED = (
    r"(?:/{1,4}(?:nfs|mnt|data|gpfs|lustre|beegfs|ceph|var|export|net|storage|cluster|host|usr|scratch|work|volumes|cygdrive|[a-z]|(?:vol|fs|data|disk)[0-9]{0,3})){1,2}"
    r"|/System/Volumes/Data"
)
_SLASHES = r"[/\\]{0,4}"
_BEFORE = rf"{_SLASHES}(?:[^\w.$/\\-]|:elif|$)"
"""Backwards, as the next two: what stands before a path that starts at the root."""

_DRIVE = rf"{_SLASHES}:(?P<drive>[A-Za-z])(?![A-Za-z])"
_ELSEWHERE = r"[/\\]?/?/:(?!elif)"
_PATH = r"[\w/.-]*"
_LOOKED = 64
_ANYBODY = frozenset(
    (
        "user", "username", "you", "yourname", "your_name", "your-name", "your_username", "your-username", "your-user", "your_user", "youruser", "me",
        "name", "myuser", "my-user", "my_user", "myname", "xxx", "xyz", "...", "…", "..", ".", "shared", "public", "default", "all users", "someone",
        "somebody", "anybody", "foo", "guest", "example", "test", "pi", "ubuntu", "debian", "ec2-user", "jovyan", "vscode", "node", "runner",
        "runneradmin", "codespace", "gitpod", "coder", "vagrant", "docker", "app", "appuser", "nonroot", "lerobot", "robot", "assistant", "homeassistant",
        "huggingface", "admin", "kaggle", "colab", "linuxbrew", "conda", "tmp", "temp", "data", "static", "images", "videos", "usb", "cdrom", "sd",
        "users",
    )
)  # fmt: skip
"""Names in instructions, images and tutorials: they are nobody's."""


class _Home(NamedTuple):
    """A path into a home.

    What it starts with, whose it is, and where the name stands in the text.
    """

    lead: str
    name: str
    start: int
    end: int


def homes(text: str) -> Iterator[str]:
    """Yield each home that a path in `text` leads into, such as "/home/ada".

    What stands for any user is none.
    """
    for _, part in overlapping_chunks(text):
        for view in (part, *unescaped(part)):
            yield from (f"{home.lead}{home.name}" for home in _in(view))


def hidden(text: str) -> str:
    """Return `text` with the names in paths into homes left out."""
    kept: list[str] = []
    done = 0
    for home in sorted(_in(text), key=lambda home: home.start):
        kept += (text[done : home.start], "…")
        done = home.end
    return "".join((*kept, text[done:]))


def _in(text: str) -> Iterator[_Home]:
    folded = text.lower()
    if not any(word in folded for word in _WORDS):
        return
    for match in _compiled(_HOMES).finditer(text):
        lead = _lead(text[max(0, match.start() - _LOOKED) : match.start()], match)
        if lead and _is_somebody(match["name"]):
            yield _Home(lead, match["name"], *match.span("name"))
    for match in _compiled(_TILDE).finditer(text):
        if _is_somebody(match["name"]):
            yield _Home("~", match["name"], *match.span("name"))


def _is_somebody(name: str) -> bool:
    return name.lower().rstrip("0123456789") not in _ANYBODY and name.strip(".…") != ""


def _lead(before: str, match: re.Match[str]) -> str:
    """Return what stands before the name in a path, "" for what is no path into a home.

    One of a web page, or a relative one.
    """
    word, back = match["word"], before[::-1]
    drive = _compiled(_DRIVE).match(back)
    if drive and word.lower() in ("users", "documents and settings"):
        return (
            f"{drive['drive'].upper()}:\\{word.capitalize() if word.lower() == 'users' else word}\\"
        )
    if match[0][0] != "/" or _compiled(_ELSEWHERE).match(back):
        return ""
    if not _compiled(_BEFORE).match(back):
        mount = _mount(back)
        return f"{mount}/{word}/" if mount and word.lower() in ("home", "users") else ""
    if word in ("root", "scratch", "media"):
        is_deep = match["more"] is not None or word == "scratch"
        return f"/{word}/" if is_deep and "." not in match["name"] else ""
    return f"/{word}/" if word in ("home", "Users") else ""


def _mount(back: str) -> str:
    """Return the place where other machines' homes are mounted that `back` spells backwards, "" for another folder."""
    run = _compiled(_PATH).match(back)
    path = run[0][::-1] if run else ""
    return path if _compiled(_MOUNTED).fullmatch(path) else ""


@cache
def _compiled(expression: str) -> re.Pattern[str]:
    return re.compile(expression)
