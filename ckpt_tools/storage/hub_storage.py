"""A repository on the Hub as a place to read from.

Ranges of files, fetched once, several at a time, and from this machine's cache where that has them.
"""

from __future__ import annotations

import os
from contextlib import contextmanager
from typing import TYPE_CHECKING, NamedTuple

from ckpt_tools.errors import PathNotFound, StoreError, WrongAnswer
from ckpt_tools.progress import ignore
from ckpt_tools.storage.digests import sums_of
from ckpt_tools.storage.files import open_regular, read_at, too_large
from ckpt_tools.storage.hub_api import file_url, refuse_cached, refused, repository
from ckpt_tools.storage.hub_client import HubClient, Refusal
from ckpt_tools.storage.hub_name import Transfer, parse
from ckpt_tools.storage.paths import LENGTH_BYTES
from ckpt_tools.storage.storage import HEADER_GUESS, LocalFile
from ckpt_tools.storage.threads import WorkerPool

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from ckpt_tools.storage.hub_name import RemoteFile, Repository
    from ckpt_tools.storage.storage import ReadableFile, RemoteStorage

THREADS = 8

KEPT = 4 << 20
"""Bytes of a file's start that are kept for another look.

What is longer than headers and configs are is looked at once.
"""

_SMALL = 4 << 20
"""Up to this size what the cache holds is digested before it is believed."""


def open_repository(where: str, others: tuple[RemoteStorage, ...] = ()) -> HubRepository:
    """Return the repository that `where` names, at the commit that this means now.

    What was fetched for `others` is not fetched again.
    """
    client, name = HubClient(), parse(where)
    known = [other for other in others if isinstance(other, HubRepository)]
    same = next(
        (
            other.found
            for other in known
            if (other.found.name, parse(other.where).revision) == name[:2]
        ),
        None,
    )
    found = same._replace(path=name.path) if same else repository(where, client)
    return HubRepository(where, found, client, known[0].windows if known else {})


class _Remote(NamedTuple):
    """A file of a repository that is open."""

    repository: HubRepository
    file: RemoteFile
    path: str

    @property
    def size(self) -> int:
        """Bytes of the file."""
        return self.file.size

    def read(self, length: int, offset: int) -> bytes:
        """Return exactly `length` bytes from `offset`.

        Who starts with the first few bytes goes on behind them, so more are fetched at once.
        """
        if offset == 0 and length <= LENGTH_BYTES and self.repository.lacks(self.file, length):
            self.repository.part(self.file, self.path, 0, min(HEADER_GUESS, self.file.size))
        return self.repository.part(self.file, self.path, offset, offset + length)


class HubRepository:
    """A `Place`: a repository at one commit.

    `windows` are the first bytes of files, as many as were fetched, by what names their content.
    """

    def __init__(
        self,
        where: str,
        found: Repository,
        client: HubClient,
        windows: dict[tuple[str, int], bytes],
    ) -> None:
        self.where = where
        self.found = found
        self.windows = windows
        self._client = client
        self._files = {file.path: file for file in found.files}
        self._folders: dict[str, set[str]] = {"": set()}
        for path in self._files:
            self._enter(path)

    def _enter(self, path: str) -> None:
        name = path
        while True:
            folder, slash, last = name.removesuffix("/").rpartition("/")
            known = folder in self._folders
            self._folders.setdefault(folder, set()).add(last + "/" * name.endswith("/"))
            if known or not slash:
                return
            name = f"{folder}/"

    @property
    def root(self) -> str:
        """What was named, at the commit."""
        return f"{self.found.root}/{self.found.path}".rstrip("/")

    @property
    def repository(self) -> str:
        """The whole of it, at the commit."""
        return self.found.root

    @property
    def spent(self) -> Transfer:
        """What reading took so far, of the size of what was named."""
        return Transfer(
            self._client.requests,
            self._client.received,
            sum(file.size for file in self.found.below),
        )

    def refuse_cached(self) -> None:
        """Raise Unreachable where the Hub is not asked, and its cache stands for it."""
        refuse_cached(self.found)

    def names(self, folder: str) -> tuple[str, ...]:
        """Return the names in `folder`."""
        inside = self._folders.get(self._inside(folder))
        if inside is None:
            raise self._nothing(folder)
        return tuple(sorted(inside))

    def is_folder(self, path: str) -> bool:
        """Whether there is a folder."""
        return self._inside(path) in self._folders

    def is_file(self, path: str) -> bool:
        """Whether there is a file."""
        return self._inside(path) in self._files

    def size(self, path: str) -> int:
        """Return the bytes of the file at `path`."""
        return self._file(path).size

    def sums(self, path: str) -> tuple[str, str]:
        """Return the sha256 (of a file stored with LFS), else git's id."""
        file = self._file(path)
        return (file.sha256, "") if file.sha256 else ("", file.blob_id)

    @contextmanager
    def opened(self, path: str) -> Iterator[ReadableFile]:
        """Yield the file at `path`, from the cache if it has it."""
        file = self._file(path)
        cached = self._cached(file)
        if cached:
            with open_regular(cached) as (descriptor, size):
                yield LocalFile(descriptor, size, path)
        else:
            yield _Remote(self, file, path)

    def whole(self, path: str, limit: int) -> bytes:
        """Return the bytes of the file at `path`."""
        with self.opened(path) as file:
            if file.size > limit:
                raise too_large(path, file.size, limit)
            return file.read(file.size, 0)

    def expect(self, parts: Iterable[tuple[str, int]]) -> None:
        """Fetch the first bytes of several files at a time.

        Raises what reading them would; what is not there is left to who reads it.
        """
        wanted = [
            (self._files[self._inside(path)], path, least)
            for path, least in parts
            if self.is_file(path)
        ]
        wanted = [
            (file, path, least)
            for file, path, least in wanted
            if self.lacks(file, least) and not self._cached(file)
        ]
        wanted = list(
            {self._key(file): (file, path, least) for file, path, least in wanted}.values()
        )  # the same content is fetched once
        if len(wanted) <= 1:
            return  # nothing is gained over reading it when it is wanted
        WorkerPool(THREADS, ignore).do(
            [(self.part, (file, path, 0, min(least, file.size))) for file, path, least in wanted]
        )

    def part(self, file: RemoteFile, path: str, start: int, end: int) -> bytes:
        """Return the bytes of `file` from `start` to `end`, of which those that were fetched before are not fetched again."""
        key = self._key(file)
        window = self.windows.get(key, b"")
        if start > len(window):
            return self._fetched(file, path, start, end)
        if end > len(window):
            window += self._fetched(file, path, len(window), end)
            self._check(file, path, window)
            if len(window) <= KEPT:
                self.windows[key] = window
        return window[start:end]

    def lacks(self, file: RemoteFile, least: int) -> bool:
        """Whether fewer than the `least` first bytes of a file were fetched."""
        return len(self.windows.get(self._key(file), b"")) < min(least, file.size)

    def _key(self, file: RemoteFile) -> tuple[str, int]:
        return (file.content or f"{self.found.root}/{file.path}", file.size)

    def _fetched(self, file: RemoteFile, path: str, start: int, end: int) -> bytes:
        try:
            return self._client.range(
                file_url(self._client, self.found, file.path), start, end, file.size
            )
        except Refusal as refusal:
            error = refused(self._client, self.where, refusal)
            error.path = path
            raise error from None
        except StoreError as error:
            error.path = path
            raise

    def _check(self, file: RemoteFile, path: str, window: bytes) -> None:
        """Raise WrongAnswer for a whole file that is not what the repository's list says."""
        if len(window) < file.size or not file.content:
            return
        if file.content not in sums_of(window):
            raise WrongAnswer(
                f"what came is not what the Hub lists: its {'sha256' if file.sha256 else 'id in git'} is another",
                path=path,
            )

    def _cached(self, file: RemoteFile) -> str:
        """Return where this machine has the file already, "" for nowhere."""
        folder = self._client.cache_of(self.found.name)
        places = [os.path.join(folder, "snapshots", self.found.commit, *file.path.split("/"))]
        if file.content:
            places.append(os.path.join(folder, "blobs", file.content))
        return next((place for place in places if os.path.isfile(place) and _is(place, file)), "")

    def _file(self, path: str) -> RemoteFile:
        file = self._files.get(self._inside(path))
        if file is None:
            raise self._nothing(path)
        return file

    def _inside(self, path: str) -> str:
        return path.removeprefix(self.found.root).strip("/")

    def _nothing(self, path: str) -> PathNotFound:
        if self.found.cached:
            return PathNotFound(
                "is not in the cache, and the Hub is not asked: HF_HUB_OFFLINE is set",
                path=path,
                hint=f"unset it, or run this while online: hf download {self.found.name}",
            )
        return PathNotFound(
            "the repository has no such file or folder at this commit",
            path=path,
            hint=f"look at what it has: {self._client.endpoint}/{self.found.name}/tree/{self.found.commit}",
        )


def _is(place: str, file: RemoteFile) -> bool:
    """Whether what lies at `place` is the file: by its size, and if it is small by what it holds.

    Nobody keeps others from writing into a cache.
    """
    with open_regular(place) as (descriptor, size):
        if size != file.size or size > _SMALL or not file.content:
            return size == file.size
        data = read_at(descriptor, size, 0, place)
    return file.content in sums_of(data)
