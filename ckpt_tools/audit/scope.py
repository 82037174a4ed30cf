"""Where a run of an audit looked: which of the locations it did not find are gone."""

from __future__ import annotations

import os
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING

from ckpt_tools.audit.naming import printable, shown
from ckpt_tools.storage.address import is_address
from ckpt_tools.storage.hub_name import SCHEME
from ckpt_tools.storage.session import is_on_hub

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

COLLECTIONS = f"{SCHEME}collections/"
_MODELS = f"{SCHEME}models/"


class Scope:
    """What is at and below sources, and matches one of the globs if there are any.

    What could not be listed is left out as it turns up.
    """

    def __init__(self, sources: Iterable[str], globs: Iterable[str] = ()) -> None:
        named = tuple(sources)
        self._globs = tuple(globs)
        self._roots = frozenset(map(_root, named))
        self._collections = frozenset(shown(one) for one in named if one.startswith(COLLECTIONS))
        self._unlisted: set[str] = set()

    def leave_out(self, location: str) -> None:
        """Take nothing at or below a location, or a collection of this name, for looked at."""
        self._unlisted.add(location)

    def has(self, location: str, source: str) -> bool:
        """Whether the run looked at a location, which an earlier one found in `source`."""
        if self._globs and not any(fnmatchcase(location, glob) for glob in self._globs):
            return False
        places = frozenset(_places(location))
        inside = source in self._collections or not self._roots.isdisjoint(places)
        return inside and self._unlisted.isdisjoint(places) and source not in self._unlisted


def _root(where: str) -> str:
    """Return the location of which all that is found in a source is at or below."""
    if is_on_hub(where):
        name = where.removeprefix(_MODELS).removeprefix(SCHEME)
        return f"{SCHEME}{name.rstrip('/')}"
    if is_address(where):
        return where if where.endswith("://") else where.rstrip("/")
    return printable(os.path.abspath(where))


def _places(location: str) -> Iterator[str]:
    """Yield a location and all that it is in, with and without a `/` at the end."""
    yield location
    for at, character in enumerate(location):
        if character == "/":
            yield location[:at]
            yield location[: at + 1]
