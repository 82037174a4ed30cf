"""Recipe files: strict JSON, or the part of YAML that JSON can express.

`strict_json.yaml_text` reads the latter.
"""

from __future__ import annotations

import os
import re
from functools import partial
from typing import TYPE_CHECKING

from ckpt_tools.edit.operations import with_local_source
from ckpt_tools.edit.recipe import operations
from ckpt_tools.errors import JsonInvalid, RecipeInvalid
from ckpt_tools.storage.files import read_whole
from ckpt_tools.strict_json.parse import decode_utf8, parse
from ckpt_tools.strict_json.spans import spans
from ckpt_tools.strict_json.yaml_text import parse_yaml

if TYPE_CHECKING:
    from ckpt_tools.edit.operations import Operation
    from ckpt_tools.strict_json.parse import Json
    from ckpt_tools.strict_json.yaml_text import Lines

LIMIT = 1 << 20
"""Bytes of a recipe file; a usual one has kilobytes."""

MOST = 1000
"""Operations in a recipe: each is planned against every tensor."""


def read_recipe(path: str) -> tuple[Operation, ...]:
    """Read the operations in the recipe at `path` (.json, .yaml or .yml).

    Relative sources start at its folder.

    Raises RecipeInvalid with path, line and location, or the errors of reading a file
    (PathNotFound, NotAFile, Unreadable).
    """
    extension = os.path.splitext(path)[1].lower()
    if extension not in (".json", ".yaml", ".yml") and not os.path.isdir(path):
        raise RecipeInvalid(
            "not a recipe: its name does not end in .json, .yaml or .yml",
            path=path,
            hint="rename it, or give a recipe file",
        )
    lines: Lines = {}
    data = read_whole(path, LIMIT, "a recipe file")
    try:
        text = decode_utf8(data)
        found = operations(
            _from_json(text, lines) if extension == ".json" else parse_yaml(text, lines)
        )
    except JsonInvalid as error:
        raise RecipeInvalid(error.what, path=path, hint="correct the recipe") from None
    except RecipeInvalid as error:
        line = _line_of(error.subject, lines) if error.subject else 0
        raise error.at(f"{path}, line {line}" if line else path) from None
    if len(found) > MOST:
        raise RecipeInvalid(
            f"has {len(found):,} operations, more than the limit of {MOST:,}",
            path=path,
            hint="a glob can select many tensors at once",
        )
    resolve = partial(os.path.join, os.path.dirname(path))
    return tuple(with_local_source(operation, resolve) for operation in found)


def _line_of(place: str, lines: Lines) -> int:
    """Return the line of the value at `place` (`operations[2].cast`) or of its container.

    0 if unknown.
    """
    pointer = "".join(f"/{part}" for part in re.findall(r"[^.\[\]]+", place))
    while pointer and pointer not in lines:
        pointer = pointer.rpartition("/")[0]
    return lines.get(pointer, 0)


def _from_json(text: str, lines: Lines) -> Json:
    value = parse(text)
    line, at = 1, 0
    for pointer, member in sorted(spans(text).items(), key=lambda item: item[1].value):
        line, at = line + text.count("\n", at, member.value[0]), member.value[0]
        lines[pointer] = line
    return value
