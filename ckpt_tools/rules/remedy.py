"""The commands that findings tell, as a shell takes them.

The names in them are the checkpoint author's, and must not be obeyed.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from ckpt_tools.storage.hub_name import download, is_hub_name, parse

if TYPE_CHECKING:
    from ckpt_tools.rules.rule import Subject

_PLAIN = r"[A-Za-z0-9_./][A-Za-z0-9_./=@-]*"
_QUOTED = r"'(?:[^']|'\\'')*'"


def pasteable(words: str, subject: Subject) -> str:
    """Return what to do next with WHERE and NORMAL replaced by what the checkpoint and its reference are called, WHERE/FILE by one word for a file in it.

    A command about a checkpoint on the Hub begins with its download: what changes one needs it on
    this machine.
    """
    there = subject.checkpoint
    fetch, where = download(parse(there.where)) if is_hub_name(there.root) else ("", there.where)
    names = {"WHERE": _as_path(where)} | (
        {"NORMAL": _as_path(subject.reference.where)} if subject.reference else {}
    )

    def replaced(match: re.Match[str]) -> str:
        inside = match["inside"]
        if inside and match["place"] == "WHERE":
            return quoted(
                f"{_as_path(where if fetch else there.root or '.').rstrip('/')}/{_meant(inside)}"
            )
        return quoted(names.get(match["place"], match["place"])) + (f"/{inside}" if inside else "")

    pasted = re.sub(
        rf"(?<= )(?P<place>WHERE|NORMAL)\b(?:/(?P<inside>{_QUOTED}|{_PLAIN}))?", replaced, words
    )
    return pasted.replace("ckpt ", f"{fetch} && ckpt ", 1) if fetch and pasted != words else pasted


def _as_path(where: str) -> str:
    """Return a path that no command takes for an option."""
    return f"./{where}" if where.startswith("-") else where


def inside(path: str) -> str:
    """Return what stands in a command for a file in the checkpoint's folder."""
    return f"WHERE/{quoted(path)}"


def _meant(word: str) -> str:
    """Return the word that `quoted` gave."""
    return word[1:-1].replace("'\\''", "'") if word.startswith("'") else word


def quoted(word: str) -> str:
    """Return `word` as one word of a shell's command."""
    return word if re.fullmatch(_PLAIN, word) else "'" + word.replace("'", "'\\''") + "'"
