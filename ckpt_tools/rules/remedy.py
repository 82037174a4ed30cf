"""What to do about a finding: a command, a sentence, or a sentence around a command.

Names in commands come from the checkpoint's author: they are words of `argv`, quoted when shown.
"""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, NamedTuple, cast

from ckpt_tools import shell
from ckpt_tools.checkpoint.documents import CONFIG
from ckpt_tools.errors import PointerInvalid
from ckpt_tools.storage.address import fetch_command
from ckpt_tools.strict_json.parse import value_of
from ckpt_tools.strict_json.pointer import changes_type, from_words, resolve

if TYPE_CHECKING:
    from ckpt_tools.checkpoint.model import Checkpoint
    from ckpt_tools.rules.rule import Subject
    from ckpt_tools.strict_json.parse import Json

WHERE, REFERENCE = "WHERE", "NORMAL"
"""Words of a command for the checkpoint (`WHERE/FILE` is a file in it) and for its reference."""

SANITIZE = ("ckpt", "sanitize")
"""How the command begins that repairs what training leaves in a checkpoint."""


class Remedy(NamedTuple):
    """The next step: `argv` is a command, `text` the sentence around it, with `{}` for the command.

    Without `text` the command is all; without `argv` the sentence is. `safe`: the command loses
    nothing that the model uses; it may remove a teacher.
    """

    argv: tuple[str, ...] = ()
    text: str = ""
    safe: bool = False

    def __str__(self) -> str:
        """Return the sentence with the command quoted for a shell."""
        command = shell.join(self.argv)
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
        given = where if fetch else there.step_or_where
        folder = as_path(given if fetch or words[named] == WHERE else there.root or ".")
        inside = words[named].removeprefix(WHERE)
        words[named] = f"{folder.rstrip('/')}{inside}" if inside else folder
    if reference and REFERENCE in words:
        words[words.index(REFERENCE)] = as_path(reference.where)
    if words[:2] == ["ckpt", "config"]:
        words = with_type(words, there)
    text = remedy.text
    if fetch and words != list(remedy.argv):
        text = (text or "{}").replace("{}", f"{fetch} && {{}}", 1)
    return Remedy(tuple(words), text, remedy.safe)


def with_type(words: list[str], checkpoint: Checkpoint | None) -> list[str]:
    """Return a `ckpt config WHERE set`, with --change-type where the value has another type."""
    verb, *rest = words[3:]
    file = CONFIG
    if "--file" in rest:
        at = rest.index("--file")
        file = rest[at + 1]
        del rest[at : at + 2]
    document = checkpoint.document(file) if checkpoint else None
    if verb != "set" or document is None:
        return words
    key, value = rest
    with suppress(PointerInvalid):
        config = cast("Json", document.value)
        before = resolve(config, from_words(config, key))
        if changes_type(before, value_of(value)[0]):
            return [*words, "--change-type"]
    return words


_VERBS = ("get", "set", "unset", "diff", "validate")


def as_path(where: str) -> str:
    """Return a path that no command takes for an option, or for a verb of `ckpt config`."""
    return f"./{where}" if where.startswith("-") or where in _VERBS else where
