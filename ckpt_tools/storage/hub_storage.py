"""A repository on the Hub as storage.

Ranges of files are fetched once, several files at a time, and read from the local cache if it has
them.
"""

from __future__ import annotations

import os
from contextlib import contextmanager
from typing import TYPE_CHECKING, NamedTuple

from ckpt_tools.errors import PathNotFound, StoreError, WrongAnswer
from ckpt_tools.progress import ignore
from ckpt_tools.storage.digests import sums_of
from ckpt_tools.storage.files import open_regular, read_at, too_large
from ckpt_tools.storage.hub_api import file_url, refused, repository
from ckpt_tools.storage.hub_client import HubClient, Refusal
from ckpt_tools.storage.hub_name import Repository, Transfer, parse
from ckpt_tools.storage.paths import LENGTH_BYTES
from ckpt_tools.storage.storage import LocalFile, header_guess
from ckpt_tools.storage.threads import WorkerPool

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from ckpt_tools.storage.hub_name import RemoteFile
    from ckpt_tools.storage.storage import ReadableFile

THREADS = 8

MAX_KEPT = 4 << 20
"""Bytes of a file's start that are kept in memory: more than headers and configs have."""

MAX_VERIFIED = 4 << 20
"""A cached file of at most this many bytes is hashed before it is used."""


def open_repository(where: str, others: tuple[HubRepository, ...] = ()) -> HubRepository:
    """Return the repository that `where` names, at the commit its revision stands for now.

    The commits and the bytes that `others` have fetched are used again.
    """
    client, name = HubClient(), parse(where)
    same = (
        other.listing
        for other in others
        if (other.listing.name, parse(other.where).revision) == name[:2]
    )
    listing = next(same, None) or repository(where, client)
    prefixes = others[0].prefixes if others else {}
    return HubRepository(where, listing._replace(path=name.path), client, prefixes)


def listed_repository(where: str, files: tuple[RemoteFile, ...]) -> HubRepository:
    """Return the part of a repository that `where` names at a commit, with its listed files.

    `where` has a commit. Paths are below the folder that it names, or that its file is in.
    """
    name = parse(where)
    is_file = bool(name.path) and f"/{name.path}".endswith(f"/{files[0].path}")
    folder = name.path.removesuffix(files[0].path) if is_file else f"{name.path}/".lstrip("/")
    inside = tuple(sorted(one._replace(path=f"{folder}{one.path}") for one in files))
    listing = Repository(name.repository, name.revision, inside, name.path)
    return HubRepository(where, listing, HubClient(), {})


class _OpenFile(NamedTuple):
    """An open file of a repository."""

    repository: HubRepository
    file: RemoteFile
    path: str

    @property
    def size(self) -> int:
        """Bytes of the file."""
        return self.file.size

    def read(self, length: int, offset: int) -> bytes:
        """Return exactly `length` bytes from `offset`.

        After a header's length the header is read, so both are fetched at once.
        """
        if offset == 0 and length <= LENGTH_BYTES and self.repository.lacks(self.file, length):
            self.repository.part(self.file, self.path, 0, header_guess(self.file.size))
        return self.repository.part(self.file, self.path, offset, offset + length)


class HubRepository:
    """A `Storage`: a repository at one commit.

    `prefixes` has the bytes fetched so far from the start of files, by content and size.
    """

    near = True

    def __init__(
        self,
        where: str,
        listing: Repository,
        client: HubClient,
        prefixes: dict[tuple[str, int], bytes],
    ) -> None:
        self.where = where
        self.listing = listing
        self.prefixes = prefixes
        self._client = client
        self._files = {file.path: file for file in listing.files}
        self._folders: dict[str, set[str]] = {"": set()}
        for path in self._files:
            self._enter(path)

    def _enter(self, path: str) -> None:
        """Add a file to its folder, and that to the folder above."""
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
        """The folder or file that was named, with the commit."""
        return f"{self.listing.root}/{self.listing.path}".rstrip("/")

    @property
    def transfer(self) -> Transfer:
        """The requests and bytes so far, and the size of what was named."""
        total = sum(file.size for file in self.listing.below)
        return Transfer(self._client.requests, self._client.received, total)

    def names(self, folder: str) -> tuple[str, ...]:
        """Return the names in `folder`."""
        names = self._folders.get(self._relative(folder))
        if names is None:
            raise self._not_found(folder)
        return tuple(sorted(names))

    def is_folder(self, path: str) -> bool:
        """Whether `path` is a folder."""
        return self._relative(path) in self._folders

    def is_file(self, path: str) -> bool:
        """Whether `path` is a file."""
        return self._relative(path) in self._files

    def size(self, path: str) -> int:
        """Return the bytes of the file at `path`."""
        return self._file(path).size

    def known_sums(self, path: str) -> tuple[str, str]:
        """Return the SHA-256 of a file stored with LFS, git's id of any other."""
        file = self._file(path)
        return (file.sha256, "") if file.sha256 else ("", file.blob_id)

    @contextmanager
    def open(self, path: str) -> Iterator[ReadableFile]:
        """Yield the file at `path`, from the cache if it is there."""
        file = self._file(path)
        if cached := self._cached(file):
            with open_regular(cached) as (descriptor, size):
                yield LocalFile(descriptor, size, path)
        else:
            yield _OpenFile(self, file, path)

    def read(self, path: str, limit: int) -> bytes:
        """Return the bytes of the file at `path`."""
        with self.open(path) as file:
            if file.size > limit:
                raise too_large(path, file.size, limit)
            return file.read(file.size, 0)

    def prefetch(self, parts: Iterable[tuple[str, int]]) -> None:
        """Fetch the first bytes of several files at a time. Raises what reading them raises."""
        files = ((self._file(path), path, length) for path, length in parts if self.is_file(path))
        wanted = [(file, path, length or header_guess(file.size)) for file, path, length in files]
        unique = {  # equal content is fetched once
            self._key(file): (file, path, 0, min(length, file.size))
            for file, path, length in wanted
            if self.lacks(file, length) and not self._cached(file)
        }
        if len(unique) > 1:  # a single file can as well be fetched when it is read
            WorkerPool(THREADS, ignore).do([(self.part, task) for task in unique.values()])

    def part(self, file: RemoteFile, path: str, start: int, end: int) -> bytes:
        """Return bytes `start` to `end` of `file`, fetching those that are not in `prefixes`."""
        key = self._key(file)
        prefix = self.prefixes.get(key, b"")
        if start > len(prefix):
            return self._fetched(file, path, start, end)
        if end > len(prefix):
            prefix += self._fetched(file, path, len(prefix), end)
            _check(file, path, prefix)
            if len(prefix) <= MAX_KEPT:
                self.prefixes[key] = prefix
        return prefix[start:end]

    def lacks(self, file: RemoteFile, length: int) -> bool:
        """Whether fewer than the first `length` bytes of a file are in `prefixes`."""
        return len(self.prefixes.get(self._key(file), b"")) < min(length, file.size)

    def _key(self, file: RemoteFile) -> tuple[str, int]:
        return (file.content or f"{self.listing.root}/{file.path}", file.size)

    def _fetched(self, file: RemoteFile, path: str, start: int, end: int) -> bytes:
        url = file_url(self._client, self.listing, file.path)
        try:
            return self._client.range(url, start, end, file.size)
        except Refusal as refusal:
            error = refused(self._client, self.where, refusal)
            error.path = path
            raise error from None
        except StoreError as error:
            error.path = path
            raise

    def _cached(self, file: RemoteFile) -> str:
        """Return the path of the file in the local cache, "" if it is not there."""
        folder = self._client.cache_of(self.listing.name)
        paths = [os.path.join(folder, "snapshots", self.listing.commit, *file.path.split("/"))]
        if file.content:
            paths.append(os.path.join(folder, "blobs", file.content))
        return next((path for path in paths if os.path.isfile(path) and _matches(path, file)), "")

    def _file(self, path: str) -> RemoteFile:
        file = self._files.get(self._relative(path))
        if file is None:
            raise self._not_found(path)
        return file

    def _relative(self, path: str) -> str:
        return path.removeprefix(self.listing.root).strip("/")

    def _not_found(self, path: str) -> PathNotFound:
        name, commit = self.listing.name, self.listing.commit
        if self.listing.cached:
            command = f"hf download {name} --revision {commit}"
            return PathNotFound(
                "is not in the cache, and offline mode is enabled (HF_HUB_OFFLINE is set)",
                path=path,
                hint=f"unset HF_HUB_OFFLINE, or run this while online: {command}",
            )
        return PathNotFound(
            "the repository has no such file or folder at this commit",
            path=path,
            hint=f"its files: {self._client.endpoint}/{name}/tree/{commit}",
        )


def _check(file: RemoteFile, path: str, data: bytes) -> None:
    """Raise WrongAnswer if `data` is a whole file, but not the one that the Hub lists."""
    if len(data) == file.size and file.content and file.content not in sums_of(data):
        kind = "SHA-256" if file.sha256 else "git id"
        raise WrongAnswer(f"the {kind} of the received file is not the one listed", path=path)


def _matches(cached: str, file: RemoteFile) -> bool:
    """Whether a cached file has the size, and if it is small the content, that the Hub lists.

    Anything can write into a cache.
    """
    with open_regular(cached) as (descriptor, size):
        if size != file.size or size > MAX_VERIFIED or not file.content:
            return size == file.size
        return file.content in sums_of(read_at(descriptor, size, 0, cached))
