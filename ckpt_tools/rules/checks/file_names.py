"""Rules about the names of the files that an upload would include."""

from __future__ import annotations

import re
import unicodedata
from collections import defaultdict
from functools import partial
from typing import TYPE_CHECKING

from ckpt_tools.rules.finding import Need, Severity
from ckpt_tools.rules.rule import Violation, rule
from ckpt_tools.scan.entry import is_never_uploaded

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ckpt_tools.rules.rule import Subject
    from ckpt_tools.scan.entry import Entry

_supply_chain = partial(rule, needs=Need.FILES, supply_chain=True)

_HUB_FILES = (".gitattributes", ".gitignore")
_PRIVATE = (
    *(".env", ".git", ".netrc", ".ssh", ".aws", ".npmrc", ".pypirc", ".htpasswd"),
    ".git-credentials",
)
_LEFTOVER_FOLDERS = ("wandb", "__pycache__", "__macosx", "node_modules", "lightning_logs", "mlruns")
_LEFTOVER_ENDS = ("~", ".swp", ".swo", ".bak", ".orig", ".rej", ".tmp", ".pyc", ".pyo", ".log")
_LEFTOVER_NAMES = ("thumbs.db", "desktop.ini", "nohup.out", "core")
_BLANK = re.compile("[\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180f\u2800\u3164\uffa0]")
"""Letters and marks that Unicode has and nothing shows. Emoji need variation selectors."""


@_supply_chain("CK807", "leftover", Severity.WARNING)
def leftover(subject: Subject) -> Iterator[Violation]:
    """The folder contains hidden files or leftovers.

    `.env` and `.netrc` contain passwords, `wandb/` logs, configs and the command line of every run.
    Editors leave copies of what was deleted (`*~`, `.swp`), Python its caches, file managers their
    lists (`.DS_Store`). They are uploaded with the folder, unnoticed.

    Remove them, or copy what belongs to the checkpoint to a clean folder. `.gitattributes` and
    `.gitignore` are allowed. The folders `.git/` of a clone and `.cache/huggingface/` of a download
    are a note: neither `hf upload` nor `ckpt upload` sends them, and the gate does not inspect
    their contents.

    Bad:

        .env
        wandb/
        config.json~

    Good:

        .gitattributes
    """
    reported = ""
    entries = sorted(subject.entries or (), key=lambda entry: entry.path)
    for entry in entries:
        if reported and entry.path.startswith(reported):
            continue
        is_folder = entry.kind == "folder"
        name = entry.path.removesuffix("/").rpartition("/")[2].lower()
        is_private = name in _PRIVATE or name.startswith(".env")
        severity = Severity.ERROR if is_private else None
        if is_folder and is_never_uploaded(entry.path):
            fault, severity = "is not uploaded by hf, and was not inspected", Severity.NOTE
        elif is_folder and name == ".cache" and _has_only_hub_cache(entry, entries):
            fault = ""
        elif is_private:
            fault = "can contain passwords or a history"
        elif name.startswith(".") and name not in _HUB_FILES:
            fault = "is hidden"
        else:
            fault = "is a leftover" if _is_leftover(name, is_folder=is_folder) else ""
        if fault:
            reported = entry.path if is_folder else reported
            remedy = "" if severity is Severity.NOTE else "remove it before the upload"
            yield Violation(fault, entry.path, next=remedy, severity=severity)


def _has_only_hub_cache(folder: Entry, entries: list[Entry]) -> bool:
    """Whether a `.cache/` contains only the folder that no upload includes."""
    below = [entry for entry in entries if entry.path.startswith(folder.path) and entry != folder]
    hub_caches = [
        entry for entry in below if entry.kind == "folder" and is_never_uploaded(entry.path)
    ]
    return bool(below) and below == hub_caches


def _is_leftover(name: str, *, is_folder: bool) -> bool:
    if is_folder:
        return name in _LEFTOVER_FOLDERS
    is_autosave = name.startswith("#") and name.endswith("#")
    return name.endswith(_LEFTOVER_ENDS) or name in _LEFTOVER_NAMES or is_autosave


@_supply_chain("CK822", "twin-names", Severity.WARNING)
def twin_names(subject: Subject) -> Iterator[Violation]:
    """Two names are the same on another file system.

    On macOS and Windows, Config.json and config.json are the same file, and on macOS so are two
    spellings of an accented letter. After a download only one of the two is left, and which one is
    undefined: the loaded file may not be the checked one.

    Rename one, or leave it out. Names in a folder whose own name is a twin are not reported.

    Bad:

        Config.json beside config.json

    Good:

        config.json
    """
    alike: defaultdict[str, list[str]] = defaultdict(list)
    for entry in subject.entries or ():
        path = entry.path.removesuffix("/")
        folder, _, name = path.rpartition("/")
        folded = unicodedata.normalize("NFC", unicodedata.normalize("NFC", name).casefold())
        alike[f"{folder}/{folded}"].append(path)
    for first, *twins in alike.values():
        for path in twins:
            yield Violation(
                f"has the same name as {first!r} on file systems that ignore case or spelling",
                path,
                next="rename one, or leave it out",
            )


@_supply_chain("CK823", "odd-file-names", Severity.ERROR)
def odd_file_names(subject: Subject) -> Iterator[Violation]:
    """A file name contains an invisible character.

    A control character in a name changes what a terminal or a log shows: a line break and a color
    make a name look like a verdict. A character that reverses the writing direction shows
    `gnp.exe.md` as another type, and one of no width makes two names look the same. No tool writes
    such names.

    Rename the file, and find out what wrote it.

    Bad:

        a.md with an escape sequence in its name

    Good:

        a.md, also é.md and 模型.md
    """
    for entry in subject.entries or ():
        name = entry.path.removesuffix("/").rpartition("/")[2]
        if name.isascii() and name.isprintable():
            continue
        hidden = [sign for sign in name if not sign.isprintable() or _BLANK.match(sign)]
        if hidden:
            yield Violation(
                f"has an invisible character (U+{ord(hidden[0]):04X}) in its name",
                entry.path,
                next="rename it, or leave it out",
            )
