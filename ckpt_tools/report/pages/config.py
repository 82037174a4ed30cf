"""The edits and the validation of a config as text; differences in the format of `patch`."""

from __future__ import annotations

import json
from difflib import unified_diff
from typing import TYPE_CHECKING

from ckpt_tools import shell
from ckpt_tools.report.blocks import Bars, HeatMap, Line, Status, Table
from ckpt_tools.report.pages.diff import diff_page
from ckpt_tools.strict_json.pointer import ABSENT, changes_type
from ckpt_tools.text import printable, value

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from ckpt_tools.diff.model import Comparison
    from ckpt_tools.report.blocks import Page

type JsonDict = dict[str, object]

VALIDATE_SCHEMA = "ckpt-tools/config-validate.schema.json"


def change_line(pointer: str, before: object, after: object, like: str = "", note: str = "") -> str:
    """Describe the edit of one value: `/num_steps: 10 -> 12`."""
    name = printable(pointer) or "the whole file"
    meant = f" (did you mean {printable(like)}?)" if like else ""
    remark = f" ({note})" if note else ""
    if before is ABSENT and after is ABSENT:
        return f"{name}: not set, nothing to remove{meant}"
    if _same(before, after):
        return f"{name}: already {value(before)}{remark}"
    return f"{name}: {value(before)} -> {value(after)}{remark}{meant}"


def undo_command(where: str, file: str | None, pointer: str, before: object, after: object) -> str:
    """Return the command that undoes the edit of one value, "" if nothing changed.

    Also "" for an item that a list gained or lost: setting it would replace another.
    """
    key = pointer.rpartition("/")[2]
    is_item = key == "-" or (key.isdecimal() and after is ABSENT)
    if is_item or before is after is ABSENT or _same(before, after):
        return ""
    verb = ("unset", pointer) if before is ABSENT else ("set", pointer, json.dumps(before))
    options = (
        *(("--file", file) if file else ()),
        *(("--change-type",) if changes_type(after, before) else ()),
    )
    return shell.join(("ckpt", "config", where, *verb, *options))


def difference(before: str, after: str, path: str) -> str:
    """Return the unified difference between two texts, "" if they are equal.

    Control characters are escaped.
    """
    name = printable(path)
    return "".join(_patch_lines(unified_diff(_lines(before), _lines(after), name, name)))


def comparison_page(comparison: Comparison, *, full: bool) -> Page:
    """Return the page of `ckpt diff` without the blocks on weights, which were not read."""
    return tuple(
        block
        for block in diff_page(comparison, full=full)
        if not isinstance(block, Table | Bars | HeatMap)
    )


def validation_page(path: str, problems: Sequence[tuple[str, str]]) -> Page:
    """Return the page of `ckpt config validate`."""
    if not problems:
        return (Line(text=f"{printable(path)}: valid", mark=Status.GOOD),)
    lines = (
        f"{printable(path)}: {printable(pointer) or 'the whole file'}: {printable(message)}"
        for pointer, message in problems
    )
    return tuple(Line(text=line, mark=Status.BAD) for line in lines)


def validation_document(path: str, schema: str, problems: Sequence[tuple[str, str]]) -> JsonDict:
    """Return the document of a validation; without a schema, `valid` is null."""
    return {
        "$schema": VALIDATE_SCHEMA,
        "path": path,
        "against": f"ckpt-tools/{schema}.schema.json" if schema else None,
        "valid": not problems if schema else None,
        "problems": [{"pointer": pointer, "message": message} for pointer, message in problems],
    }


def _same(before: object, after: object) -> bool:
    """Whether two values have the same type and value."""
    return (
        before is not ABSENT
        and after is not ABSENT
        and json.dumps(before, sort_keys=True) == json.dumps(after, sort_keys=True)
    )


def _lines(text: str) -> list[str]:
    """Split at line feeds only: `splitlines` splits at more characters than JSON does."""
    lines = text.split("\n")
    return [f"{line}\n" for line in lines[:-1]] + [line for line in lines[-1:] if line]


def _patch_lines(lines: Iterator[str]) -> Iterator[str]:
    for line in lines:
        body, end = line.removesuffix("\n").removesuffix("\r"), "\r" * line.endswith("\r\n")
        safe = "".join(
            character if character.isprintable() or character == "\t" else repr(character)[1:-1]
            for character in body
        )
        yield (
            f"{safe}{end}\n"
            if line.endswith("\n")
            else f"{safe}{end}\n\\ No newline at end of file\n"
        )
