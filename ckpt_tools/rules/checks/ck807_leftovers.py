"""Nothing hidden and no leftovers lie in the folder.

`.env` and `.netrc` hold passwords, `.git/` the whole history of a project, `wandb/` logs, configs and the command line of every run. Editors leave copies
of what was deleted (`*~`, `.swp`), Python its caches, file managers their lists (`.DS_Store`). They are uploaded with the folder and nobody looks at them.

Remove them, or copy what belongs to the checkpoint to a clean folder. `.gitattributes` and `.gitignore` are at home on the Hub.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ckpt_tools.records.finding import Need, Severity
from ckpt_tools.rules.rule import Found, Rule

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ckpt_tools.rules.rule import Subject

_HOME = (".gitattributes", ".gitignore")
_SECRETIVE = (".env", ".git", ".netrc", ".ssh", ".aws", ".npmrc", ".pypirc", ".htpasswd", ".git-credentials")
_FOLDERS = ("wandb", "__pycache__", "__macosx", "node_modules", "lightning_logs", "mlruns")
_ENDS = ("~", ".swp", ".swo", ".bak", ".orig", ".rej", ".tmp", ".pyc", ".pyo", ".log")
_NAMES = ("thumbs.db", "desktop.ini", "nohup.out", "core")


def check(subject: Subject) -> Iterator[Found]:
    """Yield one finding for each, and for a folder none for what lies in it."""
    told = ""
    for entry in sorted(subject.entries or (), key=lambda entry: entry.path):
        if told and entry.path.startswith(told):
            continue
        path, name = entry.path, entry.path.removesuffix("/").rpartition("/")[2].lower()
        words = _fault(name, is_folder=entry.kind == "folder")
        if words:
            told = path if entry.kind == "folder" else told
            is_secretive = name.startswith(".env") or name in _SECRETIVE
            yield Found(words, path, next="remove it before the upload", severity=Severity.ERROR if is_secretive else None)


def _fault(name: str, *, is_folder: bool) -> str:
    if name in _SECRETIVE or name.startswith(".env"):
        return "is a place where passwords and histories are kept"
    if name.startswith(".") and name not in _HOME:
        return "is hidden"
    if is_folder:
        return "is a folder of logs or caches" if name in _FOLDERS else ""
    return "is a leftover" if name.endswith(_ENDS) or name in _NAMES or (name.startswith("#") and name.endswith("#")) else ""


RULE = Rule(
    code="CK807",
    name="leftover",
    severity=Severity.WARNING,
    needs=frozenset({Need.FILES}),
    check=check,
    page=__doc__,
    supply_chain=True,
)
