"""What is not on this machine, and a session in which each repository stays at one commit."""

from __future__ import annotations

import os
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING, cast

from ckpt_tools.storage.address import is_address
from ckpt_tools.storage.hub_name import Transfer, is_hub_name, may_be_hub_name
from ckpt_tools.storage.recording import current, recorded
from ckpt_tools.storage.storage import LOCAL

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ckpt_tools.storage.hub_storage import HubRepository
    from ckpt_tools.storage.storage import RemoteStorage, Storage


def is_remote(where: str) -> bool:
    """Whether `where` is not on this machine.

    By `hf://` or another scheme, or as `owner/name` on the Hub if no such path is local.
    """
    return is_address(where) or is_on_hub(where)


def is_on_hub(where: str) -> bool:
    """Whether `where` is a name on the Hub, and not an address of a bucket there."""
    return is_hub_name(where) or (
        may_be_hub_name(where)
        and not os.path.lexists(where)
        and not os.path.lexists(where.partition("/")[0])
    )


def is_folder(where: str) -> bool:
    """Whether `where` is a folder, local or on the Hub. Raises what `remote_storage` raises."""
    storage, root = storage_of(where)
    return storage.is_folder(root)


def root_of(where: str) -> str:
    """Return `where` as a path in its storage: unchanged, or on the Hub with its commit."""
    return storage_of(where)[1]


def storage_of(where: str) -> tuple[Storage, str]:
    """Return what holds `where`, and its path there. Raises what `remote_storage` raises.

    In an audit it is recorded, or answers from a recording.
    """
    if not is_remote(where):
        return recorded(LOCAL), where
    recording = current()
    if recording is None:
        found = remote_storage(where)
        return found, found.root
    root = recording.answer(f"root of {where}", lambda: remote_storage(where).root)
    if where == recording.address:
        recording.root = root
    return recorded(LOCAL if recording.is_replay else remote_storage(where)), root


_OPENED: ContextVar[dict[str, RemoteStorage] | None] = ContextVar("_OPENED", default=None)
"""What the session has opened, by the names and the roots under which it was requested."""


@contextmanager
def hub_session() -> Iterator[None]:
    """Keep every name on the Hub at one commit, and fetch nothing twice, until the end.

    What is at other addresses is listed once. An inner session is part of the outer one.
    """
    if _OPENED.get() is not None:
        yield
        return
    token = _OPENED.set({})
    try:
        yield
    finally:
        _OPENED.reset(token)


def remote_storage(where: str) -> RemoteStorage:
    """Return the repository or the address that `where` names.

    Raises what `hub_api.repository` and `fsspec_library.file_system` raise.
    """
    opened = _OPENED.get()
    if opened is None:
        opened = {}
    if where not in opened:
        found = _opened(where, opened)
        opened[where] = opened[found.root] = found
    return opened[where]


def _opened(where: str, opened: dict[str, RemoteStorage]) -> RemoteStorage:
    if is_address(where):
        from ckpt_tools.storage.fsspec_storage import FsspecStorage  # noqa: PLC0415 - for buckets only

        return FsspecStorage(where)
    from ckpt_tools.storage.hub_storage import open_repository  # noqa: PLC0415 - for the Hub only

    return open_repository(where, tuple(_repositories(opened)))


def _repositories(opened: dict[str, RemoteStorage]) -> list[HubRepository]:
    """Return the repositories on the Hub among what is open, each once."""
    every = {id(one): one for one in opened.values() if not is_address(one.root)}
    return cast("list[HubRepository]", list(every.values()))


def require_complete(where: str) -> None:
    """Raise Unreachable for a repository whose list of files would be the cache's."""
    if not is_address(where):
        from ckpt_tools.storage.hub_api import refuse_offline  # noqa: PLC0415 - for the Hub only

        refuse_offline(where, local=True)


def adopt(storage: RemoteStorage) -> None:
    """Let the session use what was listed before, instead of listing it again."""
    opened = _OPENED.get()
    if opened is not None:
        opened[storage.where] = opened[storage.root] = storage


def transfer_stats() -> Transfer | None:
    """Return what the session has read from the Hub, None if nothing."""
    opened = _repositories(_OPENED.get() or {})
    if not opened:
        return None
    parts = [storage.transfer for storage in opened]
    totals: dict[str, int] = {}
    for storage, part in zip(opened, parts, strict=True):
        commit = storage.listing.root
        totals[commit] = max(part.total, totals.get(commit, 0))
    return Transfer(
        sum(part.requests for part in parts),
        sum(part.received for part in parts),
        sum(totals.values()),
    )
