"""What was measured of names in old and new releases: `spellings.json`, written by `drift`."""

from __future__ import annotations

import json
import os
from typing import Any

type Json = dict[str, Any]

FILE = os.path.join(os.path.dirname(os.path.abspath(__file__)), "spellings.json")


def measurements() -> Json:
    """Return all that was measured."""
    with open(FILE, encoding="utf-8") as file:
        found: Json = json.load(file)
    return found


def spellings(library: str, key: str) -> list[Json]:
    """Return what the file of a family has as `spellings`."""
    found: list[Json] = measurements()["families"].get(f"{library}/{key}", [])
    return found
