"""Nothing hidden and no leftovers lie in the folder.

`.env` and `.netrc` hold passwords, `wandb/` logs, configs and the command line of every run.
Editors leave copies of what was deleted (`*~`, `.swp`), Python its caches, file managers their
lists (`.DS_Store`). They are uploaded with the folder and nobody looks at them.

Remove them, or copy what belongs to the checkpoint to a clean folder. `.gitattributes` and
`.gitignore` are at home on the Hub. The folders `.git/` of a clone and `.cache/huggingface/` of a
download are a note: neither `hf upload` nor `ckpt upload` sends them, and the gate does not look
into them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ckpt_tools.rules.finding import Need, Severity
from ckpt_tools.rules.rule import Rule, Violation
from ckpt_tools.scan.entry import is_never_uploaded

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ckpt_tools.rules.rule import Subject
    from ckpt_tools.scan.entry import Entry

_HOME = (".gitattributes", ".gitignore")
_SECRETIVE = (
    ".env",
    ".git",
    ".netrc",
    ".ssh",
    ".aws",
    ".npmrc",
    ".pypirc",
    ".htpasswd",
    ".git-credentials",
)
_FOLDERS = ("wandb", "__pycache__", "__macosx", "node_modules", "lightning_logs", "mlruns")
_ENDS = ("~", ".swp", ".swo", ".bak", ".orig", ".rej", ".tmp", ".pyc", ".pyo", ".log")
_NAMES = ("thumbs.db", "desktop.ini", "nohup.out", "core")


def check(subject: Subject) -> Iterator[Violation]:
    """Yield one finding for each, and for a folder none for what lies in it."""
    told = ""
    entries = subject.entries or ()
    for entry in sorted(entries, key=lambda entry: entry.path):
        if told and entry.path.startswith(told):
            continue
        if entry.kind == "folder" and is_never_uploaded(entry.path):
            told = entry.path
            yield Violation(
                "is not uploaded by hf, and was not looked into", entry.path, severity=Severity.NOTE
            )
            continue
        if _only_leads_there(entry, entries):
            continue
        path, name = entry.path, entry.path.removesuffix("/").rpartition("/")[2].lower()
        words = _fault(name, is_folder=entry.kind == "folder")
        if words:
            told = path if entry.kind == "folder" else told
            is_secretive = name.startswith(".env") or name in _SECRETIVE
            yield Violation(
                words,
                path,
                next="remove it before the upload",
                severity=Severity.ERROR if is_secretive else None,
            )


def _only_leads_there(folder: Entry, entries: tuple[Entry, ...]) -> bool:
    """Whether nothing is in a `.cache/` but the folder that no upload takes along."""
    if folder.kind != "folder" or not f"/{folder.path}".endswith("/.cache/"):
        return False
    inside = [
        entry
        for entry in entries
        if entry.path.startswith(folder.path) and entry.path != folder.path
    ]
    return bool(inside) and all(
        entry.kind == "folder" and is_never_uploaded(entry.path) for entry in inside
    )


def _fault(name: str, *, is_folder: bool) -> str:
    if name in _SECRETIVE or name.startswith(".env"):
        return "is a place where passwords and histories are kept"
    if name.startswith(".") and name not in _HOME:
        return "is hidden"
    if is_folder:
        return "is a folder of logs or caches" if name in _FOLDERS else ""
    return (
        "is a leftover"
        if name.endswith(_ENDS) or name in _NAMES or (name.startswith("#") and name.endswith("#"))
        else ""
    )


RULE = Rule(
    code="CK807",
    name="leftover",
    severity=Severity.WARNING,
    needs=frozenset({Need.FILES}),
    check=check,
    page=__doc__,
    supply_chain=True,
)
