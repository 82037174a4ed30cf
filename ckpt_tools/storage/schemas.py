"""The JSON Schemas that ship with the package: of every JSON output, and of a policy's configs."""

from __future__ import annotations

import json
import os
from functools import cache
from typing import TYPE_CHECKING, cast

if TYPE_CHECKING:
    from ckpt_tools.strict_json.parse import JsonObject

_PACKAGE = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))


@cache
def load(name: str) -> JsonObject:
    """Return the schema `name`: "diff", "show", "smolvla-config". Nobody changes it."""
    with open(path_of(name), encoding="utf-8") as file:
        return cast("JsonObject", json.load(file))


def path_of(name: str) -> str:
    """Return the path of the file with the schema `name`.

    A wheel has the schemas inside the package, an editable install beside it.
    """
    file = os.path.join("schemas", f"{name}.schema.json")
    installed = os.path.join(_PACKAGE, file)
    return installed if os.path.isfile(installed) else os.path.join(os.path.dirname(_PACKAGE), file)
