"""The JSON Schemas that ship with the package.

Of every JSON output, and of the configs that a normal checkpoint has.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, cast

if TYPE_CHECKING:
    from ckpt_tools.strict_json.parse import JsonObject

_PACKAGE = Path(__file__).parent.parent


def load(name: str) -> JsonObject:
    """Return the schema `name` ("diff", "show", "smolvla-config").

    A wheel holds the schemas inside the package; an editable install has them beside it, at the top
    of the checkout.
    """
    return cast("JsonObject", json.loads(path_of(name).read_text(encoding="utf-8")))


def path_of(name: str) -> Path:
    """Return the file that holds the schema `name`."""
    file = f"{name}.schema.json"
    installed = _PACKAGE / "schemas" / file
    return installed if installed.is_file() else _PACKAGE.parent / "schemas" / file
