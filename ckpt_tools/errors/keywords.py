"""Options of commands as the keywords that Python has for them.

Errors are written for the command line, which most readers use: "pass --allow-lossy". Raised from
Python, they name what a caller can pass: "pass lossy=True".
"""

from __future__ import annotations

import re

KEYWORDS = {
    "allow-infinite": "infinite=True",
    "allow-lossy": "lossy=True",
    "backup": "backup=",
    "base": "base=",
    "batch": "batch=",
    "card": "card_license=",
    "change-type": "change_type=True",
    "dataset": "dataset=",
    "env": "env=",
    "family": "family=",
    "file": "file=",
    "in-place": "in_place=True",
    "lenient": "lenient=True",
    "live": "live=True",
    "load": "load=True",
    "no-backup": "backup=False",
    "no-live": "options=None",
    "output": "output=",
    "reason": "reason=",
    "rules": "rules=",
    "select": "select=",
    "severity": "severity=",
    "spec": "spec=",
    "suppress": "suppress=",
    "target": "target=",
    "values": "values=True",
    "work": "folder=",
}
"""By option: its keyword; with the value of a flag."""

_OPTION = re.compile(
    r"`[^`]*`|\b(?:ckpt|hf|pip) .*"  # a command to run, which stays one
    r"|(?<![\w/.-])--([a-z][a-z0-9-]*)(?![\w.-])"
    r"( (?=[A-Z0-9'\"]|[\w./-]+=))?"  # before what is its value
)


def as_keywords(text: str) -> str:
    """Return a text with the options that it names as keywords; commands stay as they are."""

    def spelled(found: re.Match[str]) -> str:
        keyword = KEYWORDS.get(found[1] or "")
        space = found[2] or ""
        return f"{keyword}{space * (keyword[-1] != '=')}" if keyword else found[0]

    return _OPTION.sub(spelled, text) if "--" in text else text
