"""The commands that findings tell, as a shell takes them: the names in them are the checkpoint author's, and must not be obeyed."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ckpt_tools.rules.rule import Subject

_PLAIN = r"[A-Za-z0-9_./][A-Za-z0-9_./=@-]*"


def pasteable(words: str, subject: Subject) -> str:
    """Return what to do next with WHERE and NORMAL replaced by what the checkpoint and its reference are called."""
    names = {"WHERE": subject.checkpoint.where} | ({"NORMAL": subject.reference.where} if subject.reference else {})
    return re.sub(r"(?<= )(?:WHERE|NORMAL)\b", lambda match: quoted(names.get(match[0], match[0])), words)


def quoted(word: str) -> str:
    """Return `word` as one word of a shell's command."""
    return word if re.fullmatch(_PLAIN, word) else "'" + word.replace("'", "'\\''") + "'"
