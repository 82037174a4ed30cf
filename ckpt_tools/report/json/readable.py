"""Which releases read a file, as JSON."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ckpt_tools.families.family import Unknown

if TYPE_CHECKING:
    from ckpt_tools.families.spellings import Readability

type JsonDict = dict[str, object]


def readable_entry(found: Readability | Unknown | None) -> JsonDict:
    """Return the member `readable_by` of `schemas/show.schema.json`; none where nobody asked."""
    if found is None:
        return {}
    if isinstance(found, Unknown):
        return {"readable_by": {"unknown": found.reason}}
    return {
        "readable_by": {
            "library": found.library,
            "releases": list(found.read),
            "not_releases": list(found.unread),
            "written_by": {form: list(releases) for form, releases in found.written.items()},
        }
    }
