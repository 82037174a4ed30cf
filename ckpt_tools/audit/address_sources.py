"""Buckets and other storages as sources of an audit: folders listed ahead, several at a time."""

from __future__ import annotations

from collections import deque
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

from ckpt_tools.audit.discover import Found, entered_folders, walk
from ckpt_tools.audit.model import FileState, candidate_of
from ckpt_tools.audit.naming import sentence
from ckpt_tools.audit.units import Listed
from ckpt_tools.checkpoint.locate import is_orbax
from ckpt_tools.errors import CkptError
from ckpt_tools.storage.fsspec_storage import FsspecStorage, RemoteEntry
from ckpt_tools.storage.hub_name import BUCKETS

if TYPE_CHECKING:
    from collections.abc import Iterator
    from concurrent.futures import Future

    from ckpt_tools.audit.model import Candidate
    from ckpt_tools.storage.fsspec_storage import Listing

THREADS = 16
"""Folders that are listed at a time: each takes a request."""


def at_address(where: str) -> Iterator[Candidate]:
    """Yield the candidates at and below an address; one with trouble if it cannot be listed."""
    try:
        storage = FsspecStorage(where)
        if storage.is_file(storage.root):
            name = storage.root.rpartition("/")[2]
            file = _state(name, storage.file(storage.root))
            yield _candidate(where, storage.root, Found("", (file,)))
            return
    except CkptError as error:
        trouble = Found("", trouble=sentence(error), listed=False)
        yield _candidate(where, where.rstrip("/"), trouble)
        return
    with ThreadPoolExecutor(THREADS) as pool:
        tree = _AddressTree(storage, pool)
        try:
            for found in walk(tree):
                yield _candidate(where, storage.root, found)
        finally:
            pool.shutdown(wait=False, cancel_futures=True)


class _AddressTree:
    """A `Tree` of an address whose folders are listed before they are asked for."""

    def __init__(self, storage: FsspecStorage, pool: ThreadPoolExecutor) -> None:
        self._storage = storage
        self._pool = pool
        self._next: deque[str] = deque()
        self._begun: dict[str, Future[Listing]] = {}

    def listed(self, path: str) -> Listed:
        """Return what is in a folder. Raises a CkptError."""
        begun = self._begun.pop(path, None)
        if begun is None:
            if self._next and self._next[0] == path:
                self._next.popleft()
            begun = self._begin(path)
        self._begin_more()
        entries = begun.result()
        files = {name: one for name, one in entries.items() if one is not None}
        folders = sorted(name for name, one in entries.items() if one is None)
        found = Listed(tuple(sorted(files)), tuple(folders), lambda name: _state(name, files[name]))
        if not is_orbax(found.files):
            below = sorted(entered_folders(path, found), reverse=True)
            self._next.extendleft(f"{path}/{name}".lstrip("/") for name in below)
            self._begin_more()
        return found

    def _begin_more(self) -> None:
        while self._next and len(self._begun) < THREADS:
            path = self._next.popleft()
            self._begun[path] = self._begin(path)

    def _begin(self, path: str) -> Future[Listing]:
        root = self._storage.root
        return self._pool.submit(self._storage.entries, f"{root}/{path}" if path else root)


def _state(name: str, entry: RemoteEntry) -> FileState:
    return FileState(name, entry.size, entry.modified_ns, entry.etag, xet=entry.xet)


def _candidate(source: str, root: str, found: Found) -> Candidate:
    location = f"{root}/{found.path}" if found.path else root
    owner = root.removeprefix(BUCKETS).rpartition("://")[2].lstrip("/").partition("/")[0]
    return candidate_of(found, location, source, owner, found.path or root.rpartition("/")[2])
