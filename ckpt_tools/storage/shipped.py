"""The data of model families that ships with the package, read when a family is recognised."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING, cast

if TYPE_CHECKING:
    from ckpt_tools.strict_json.parse import JsonObject

_DATA = os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "families/data")


def family_data(library: str, key: str) -> JsonObject | None:
    """Return the content of `data/<library>/<key>.json`, None if there is no such file.

    `key` must be a plain file name.
    """
    try:
        with open(os.path.join(_DATA, library, f"{key}.json"), encoding="utf-8") as file:
            return cast("JsonObject", json.load(file))
    except FileNotFoundError:
        return None


def families() -> tuple[tuple[str, str], ...]:
    """Return (library, key) of every family that has a file, sorted."""
    found = [(folder.name, folder.path) for folder in os.scandir(_DATA) if folder.is_dir()]
    return tuple(
        sorted(
            (library, name.removesuffix(".json"))
            for library, path in found
            for name in os.listdir(path)
            if name.endswith(".json")
        )
    )
