"""One session of reading.

Which names are on the Hub, and one commit for each repository while the session lasts.
"""

from __future__ import annotations

import os
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING

from ckpt_tools.storage import hub_storage
from ckpt_tools.storage.hub_name import Transfer, is_hub_name, may_be_hub_name

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ckpt_tools.storage.storage import RemoteStorage


def is_remote(where: str) -> bool:
    """Whether `where` names something on the Hub.

    By its scheme, or as `owner/name` where neither is here.
    """
    return is_hub_name(where) or (
        may_be_hub_name(where)
        and not os.path.lexists(where)
        and not os.path.lexists(where.partition("/")[0])
    )


def is_folder(where: str) -> bool:
    """Whether `where` names a folder, here or on the Hub. Raises what `remote` raises."""
    if not is_remote(where):
        return os.path.isdir(where)
    place = remote_storage(where)
    return place.is_folder(place.root)


def root_of(where: str) -> str:
    """Return what `where` names as a path in its place.

    Itself on this machine, on the Hub the same at a commit.
    """
    return remote_storage(where).root if is_remote(where) else where


_PINNED: ContextVar[dict[str, RemoteStorage] | None] = ContextVar("_PINNED", default=None)


@contextmanager
def hub_session() -> Iterator[None]:
    """Have every name on the Hub mean one commit until the end, and nothing be fetched twice.

    Inside another such context, that one's.
    """
    if _PINNED.get() is not None:
        yield
        return
    token = _PINNED.set({})
    try:
        yield
    finally:
        _PINNED.reset(token)


def remote_storage(where: str) -> RemoteStorage:
    """Return the repository that `where` names. Raises what `store.hub.repository` raises."""
    known = _PINNED.get()
    if known is None:
        known = {}
    if where not in known:
        known[where] = hub_storage.open_repository(where, tuple(known.values()))
        known[known[where].root] = known[where]
    return known[where]


def transfer_stats() -> Transfer | None:
    """Return what reading from the Hub took since `pinned` began, None where nothing was read from there."""
    places = tuple({id(place): place for place in (_PINNED.get() or {}).values()}.values())
    if not places:
        return None
    parts = [place.spent for place in places]
    totals: dict[str, int] = {}
    for place, part in zip(places, parts, strict=True):
        totals[place.repository] = max(part.total, totals.get(place.repository, 0))
    return Transfer(
        sum(part.requests for part in parts),
        sum(part.received for part in parts),
        sum(totals.values()),
    )
