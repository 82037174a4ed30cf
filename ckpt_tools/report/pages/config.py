"""What was done to a config and what a schema says of one, in lines.

The difference between two texts as `patch` reads it.
"""

from __future__ import annotations

import importlib
import json
from typing import TYPE_CHECKING

from ckpt_tools.report.blocks import Bars, HeatMap, Line, Status, Table
from ckpt_tools.report.pages.diff import diff_page
from ckpt_tools.strict_json.pointer import ABSENT
from ckpt_tools.text import printable, value

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from ckpt_tools.diff.model import Comparison
    from ckpt_tools.report.blocks import Page

type JsonDict = dict[str, object]

VALIDATE_SCHEMA = "ckpt-tools/config-validate.schema.json"


def change_line(pointer: str, before: object, after: object, like: str = "", note: str = "") -> str:
    """Return a line on one value that was set or removed, or was not: `/num_steps: 10 -> 12`."""
    name = printable(pointer) or "the whole file"
    meant = f" (did you mean {printable(like)}?)" if like else ""
    remark = f" ({note})" if note else ""
    if before is ABSENT and after is ABSENT:
        return f"{name}: is not there, nothing to remove{meant}"
    if _same(before, after):
        return f"{name}: is {value(before)} already{remark}"
    return f"{name}: {value(before)} -> {value(after)}{remark}{meant}"


def difference(before: str, after: str, path: str) -> str:
    """Return the unified difference between two texts, "" where there is none.

    Characters that a terminal obeys are escaped.
    """
    # Python's lines end at more characters than JSON's do.
    unified = importlib.import_module("difflib").unified_diff(
        _lines(before), _lines(after), printable(path), printable(path)
    )
    return "".join(_patch_lines(unified))


def comparison_page(comparison: Comparison, *, full: bool) -> Page:
    """Return the page of `ckpt diff` without what tells of weights, which nobody looked at."""
    return tuple(
        block
        for block in diff_page(comparison, full=full)
        if not isinstance(block, Table | Bars | HeatMap)
    )


def verdict_page(path: str, problems: Sequence[tuple[str, str]]) -> Page:
    """Return the page of `ckpt config validate`."""
    if not problems:
        return (Line(text=f"{printable(path)}: valid", mark=Status.GOOD),)
    lines = (
        f"{printable(path)}: {printable(pointer) or 'the whole file'}: {printable(message)}"
        for pointer, message in problems
    )
    return tuple(Line(text=line, mark=Status.BAD) for line in lines)


def verdict_document(path: str, schema: str, problems: Sequence[tuple[str, str]]) -> JsonDict:
    """Return what a schema says of a config by `schemas/config-validate.schema.json`.

    Without a schema nothing is known to be valid.
    """
    return {
        "$schema": VALIDATE_SCHEMA,
        "path": path,
        "against": f"ckpt-tools/{schema}.schema.json" if schema else None,
        "valid": not problems if schema else None,
        "problems": [{"pointer": pointer, "message": message} for pointer, message in problems],
    }


def _same(before: object, after: object) -> bool:
    """Whether two values are alike in type and value."""
    return (
        before is not ABSENT
        and after is not ABSENT
        and json.dumps(before, sort_keys=True) == json.dumps(after, sort_keys=True)
    )


def _lines(text: str) -> list[str]:
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
