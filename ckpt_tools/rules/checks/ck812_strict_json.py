"""Every JSON file is strict JSON.

Python reads NaN, Infinity, repeated keys (and keeps the last), a byte order mark in some places and
integers of any size. Other readers refuse the file, or read something else in it, and a file that
two readers read differently can show one thing to a reviewer and another to a loader. Whole numbers
of more than 64 bits are fine where a double holds them as they are, such as
1000000000000000019884624838656, which transformers writes for "no limit" as model_max_length: every
reader reads the same.

Write it again with a strict writer: `json.dumps(..., allow_nan=False)`.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from ckpt_tools.errors import FormatError
from ckpt_tools.rules.finding import Need, Severity
from ckpt_tools.rules.rule import Rule, Violation
from ckpt_tools.strict_json.parse import escape, parse

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ckpt_tools.rules.rule import Subject
    from ckpt_tools.strict_json.parse import Json

_WORD = 1 << 64


def check(subject: Subject) -> Iterator[Violation]:
    """Yield one finding for each file."""
    for entry in subject.entries or ():
        if entry.text is not None and entry.path.lower().endswith(".json"):
            fault, pointer = _fault(entry.text, utf8=entry.utf8)
            if fault:
                yield Violation(fault, entry.path, pointer, "write it again as strict JSON")


def _fault(text: str, *, utf8: bool) -> tuple[str, str]:
    """Return (what is wrong, JSON pointer), "" for nothing."""
    if not utf8:
        return "is not UTF-8", ""
    if text.startswith("\ufeff"):
        return "starts with a byte order mark", ""
    try:
        value = parse(text)
    except FormatError as error:
        return (
            error.what if error.what.startswith("is ") else f"is not strict JSON: {error.what}"
        ), ""
    return _huge(value) if re.search(r"[0-9]{19}", text) else ("", "")


def _huge(value: Json) -> tuple[str, str]:
    stack: list[tuple[str, Json]] = [("", value)]
    while stack:
        pointer, part = stack.pop()
        if isinstance(part, int) and not -_WORD // 2 <= part < _WORD and not _is_double(part):
            return "holds a whole number of more than 64 bits, which other readers round", pointer
        if isinstance(part, dict):
            stack += ((f"{pointer}/{escape(key)}", item) for key, item in part.items())
        elif isinstance(part, list):
            stack += ((f"{pointer}/{index}", item) for index, item in enumerate(part))
    return "", ""


def _is_double(number: int) -> bool:
    try:
        return int(float(number)) == number
    except OverflowError:
        return False


RULE = Rule(
    code="CK812",
    name="json-not-strict",
    severity=Severity.ERROR,
    needs=frozenset({Need.FILES}),
    check=check,
    page=__doc__,
    supply_chain=True,
)
