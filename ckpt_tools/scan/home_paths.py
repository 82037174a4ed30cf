"""Finds paths into a user's home in text, and hides the user's name."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

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


def homes(text: str) -> Iterator[str]:
    """Yield each home that a path in `text` leads into, such as "/home/ada".

    Names that stand for any user are skipped.
    """
    for _, part in overlapping_chunks(text):
        for view in (part, *unescaped(part)):
            yield from (f"{lead}{match['name']}" for lead, match in _in(view))


def hidden(text: str) -> str:
    """Return `text` with the user names in paths into homes replaced by an ellipsis."""
    kept: list[str] = []
    done = 0
    for start, end in sorted(match.span("name") for _, match in _in(text)):
        kept += (text[done:start], "…")
        done = end
    return "".join((*kept, text[done:]))


def _in(text: str) -> Iterator[tuple[str, re.Match[str]]]:
    """Yield paths into homes: the part before the name, and the match with the group `name`."""
    lower = text.lower()
    if not any(word in lower for word in _WORDS):
        return
    for match in re.finditer(_HOMES, text):
        lead = _lead(text[max(0, match.start() - _MAX_LEAD) : match.start()], match)
        if lead and _is_user(match["name"]):
            yield lead, match
    for match in re.finditer(_TILDE, text):
        if _is_user(match["name"]):
            yield "~", match


def _is_user(name: str) -> bool:
    return name.lower().rstrip("0123456789") not in _PLACEHOLDERS and name.strip(".…") != ""


def _lead(before: str, match: re.Match[str]) -> str:
    """Return the part of a path before the name, "" if it does not lead into a home.

    Paths of web pages and relative paths do not.
    """
    word, back = match["word"], before[::-1]
    drive = re.match(_DRIVE, back)
    if drive and word.lower() in ("users", "documents and settings"):
        folder = word.capitalize() if word.lower() == "users" else word
        return f"{drive['drive'].upper()}:\\{folder}\\"
    if match[0][0] != "/" or re.match(_WEB, back):
        return ""
    if not re.match(_BEFORE, back):
        mount = _mount(back)
        return f"{mount}/{word}/" if mount and word.lower() in ("home", "users") else ""
    if word in ("root", "scratch", "media"):
        is_deep = match["more"] is not None or word == "scratch"
        return f"/{word}/" if is_deep and "." not in match["name"] else ""
    return f"/{word}/" if word in ("home", "Users") else ""


def _mount(back: str) -> str:
    """Return the mount point of other machines' homes that `back` spells backwards, "" for none."""
    run = re.match(_PATH, back)
    path = run[0][::-1] if run else ""
    return path if re.fullmatch(_MOUNTED, path) else ""
