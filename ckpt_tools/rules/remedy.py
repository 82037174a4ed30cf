"""What to do about a finding: a command, a sentence, or a sentence around a command.

Names in commands come from the checkpoint's author: they are words of `argv`, quoted when shown.
"""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING, NamedTuple

from ckpt_tools.storage.address import fetch_command

if TYPE_CHECKING:
    from ckpt_tools.rules.rule import Subject

WHERE, REFERENCE = "WHERE", "NORMAL"
"""Words of a command for the checkpoint (`WHERE/FILE` is a file in it) and for its reference."""


class Remedy(NamedTuple):
    """The next step: `argv` is a command, `text` the sentence around it, with `{}` for the command.

    Without `text` the command is all; without `argv` the sentence is. `safe`: the command loses
    nothing.
    """

    argv: tuple[str, ...] = ()
    text: str = ""
    safe: bool = False

    def __str__(self) -> str:
        """Return the sentence with the command quoted for a shell."""
        command = shlex.join(self.argv)
        return (
            self.text.replace("{}", command, 1) if command and self.text else self.text or command
        )


def set_config(
    key: str, value: object, text: str = "", *, file: str = "", safe: bool = False
) -> Remedy:
    """Return the command that sets a value in config.json or in `file`, by key or JSON pointer."""
    option = ("--file", file) if file else ()
    return Remedy(("ckpt", "config", WHERE, "set", *option, key, str(value)), text, safe)


def addressed(remedy: Remedy, subject: Subject) -> Remedy:
    """Replace WHERE and NORMAL by the names of the checkpoint and of its reference.

    A command about a checkpoint on the Hub or in a bucket begins with its download, since changing
    one needs local files.
    """
    there, reference = subject.checkpoint, subject.reference
    fetch, where = fetch_command(there.where, there.root)
    words = list(remedy.argv)
    named = next((at for at, word in enumerate(words) if word.partition("/")[0] == WHERE), None)
    if named is not None:
        folder = as_path(where if fetch or words[named] == WHERE else there.root or ".")
        inside = words[named].removeprefix(WHERE)
        words[named] = f"{folder.rstrip('/')}{inside}" if inside else folder
    if reference and REFERENCE in words:
        words[words.index(REFERENCE)] = as_path(reference.where)
    text = remedy.text
    if fetch and words != list(remedy.argv):
        text = (text or "{}").replace("{}", f"{fetch} && {{}}", 1)
    return Remedy(tuple(words), text, remedy.safe)


def as_path(where: str) -> str:
    """Return a path that no command takes for an option."""
    return f"./{where}" if where.startswith("-") else where
