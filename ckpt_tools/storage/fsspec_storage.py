"""A folder or file at an address of another storage, such as a bucket: a `Storage` over fsspec.

Folders are listed once, ranges of files fetched when they are read, several files at a time. Whole
objects may be replaced at any time: their size is compared, and what tells one version from another
(`entries`) is listed before anything is read.
"""

from __future__ import annotations

from contextlib import contextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING, NamedTuple

from ckpt_tools.errors import AccessRefused, ChangedDuringRead, PathNotFound
from ckpt_tools.progress import ignore
from ckpt_tools.storage.files import too_large
from ckpt_tools.storage.fsspec_library import failure, file_system
from ckpt_tools.storage.paths import LENGTH_BYTES
from ckpt_tools.storage.storage import header_guess
from ckpt_tools.storage.threads import WorkerPool

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from typing import Any

    from ckpt_tools.storage.storage import ReadableFile

THREADS = 8
MAX_KEPT = 4 << 20
"""Bytes of a file's start that are kept in memory."""

_ETAGS = ("ETag", "etag", "md5Hash", "content_md5")
_TIMES = ("LastModified", "last_modified", "updated", "mtime", "modified", "created")


class RemoteEntry(NamedTuple):
    """A file in a listing. `etag` and `xet` are "", `modified_ns` is 0 where it is not told."""

    size: int
    etag: str = ""
    modified_ns: int = 0
    xet: str = ""


type Listing = dict[str, RemoteEntry | None]
"""What is in a folder by its name; None is a folder."""


class FsspecStorage:
    """A `Storage` that reads the address `where` and what is beside and below it.

    Paths start as `where` does. Threads may share it.
    """

    near = False

    def __init__(self, where: str) -> None:
        """Raises what `fsspec_library.file_system` raises."""
        self.where = where
        self.root = where if where.endswith("://") else where.rstrip("/")
        self._above, _, self._name = self.root.rpartition("/")
        self._system, inside = file_system(where)
        self._inside = inside.rstrip("/")
        self._folders: dict[str, Listing] = {}
        self._named: list[RemoteEntry | None] = []
        """What is at the root, once that is known: a file, None for a folder."""
        self._starts: dict[str, bytes] = {}

    def entries(self, folder: str) -> Listing:
        """Return what is in a folder, asking for it. Raises PathNotFound, AccessRefused, …."""
        inside = self._path(folder)
        try:
            found = self._system.ls(inside, detail=True)
        except Exception as error:  # noqa: BLE001 - file systems have errors of their own
            raise failure(folder, error) from None
        listing: Listing = {}
        for one in found:
            path, entry = str(one["name"]).rstrip("/"), _entry(one)
            name = path.rpartition("/")[2]
            if path.strip("/") == inside.strip("/"):
                if len(found) == 1 and entry and entry.size:
                    raise PathNotFound("is a file, not a folder", path=folder)
            elif entry is None or name not in listing:
                listing[name] = entry  # a bucket can have a folder and an object of one name
        return listing

    def adopt(self, files: Mapping[str, RemoteEntry]) -> None:
        """Take these files for all that there is, by their paths.

        They are below the root, or beside it if the root is one of them.
        """
        named = files.get(self._name) if len(files) and next(iter(files)) == self._name else None
        base = self._above if named else self.root
        self._named = [named]
        self._folders.setdefault(base, {})
        for path, entry in files.items():
            folder, _, name = f"{base}/{path}".rpartition("/")
            self._folders.setdefault(folder, {})[name] = entry
            while folder != base:
                folder, _, name = folder.rpartition("/")
                self._folders.setdefault(folder, {})[name] = None

    def names(self, folder: str) -> tuple[str, ...]:
        """Return the names in `folder`."""
        listing = self._listing(folder)
        return tuple(sorted(f"{name}/" if one is None else name for name, one in listing.items()))

    def is_folder(self, path: str) -> bool:
        """Whether `path` is a folder. Raises for the root what listing it raises."""
        if path.rstrip("/") != self.root:
            return self._find(path) is None
        if self._root_file() is None:
            self._listing(self.root)
            return True
        return False

    def is_file(self, path: str) -> bool:
        """Whether `path` is a file."""
        return isinstance(self._find(path), RemoteEntry)

    def file(self, path: str) -> RemoteEntry:
        """Return the file at `path`. Raises PathNotFound."""
        found = self._find(path)
        if not isinstance(found, RemoteEntry):
            raise PathNotFound("no such file", path=path, hint="check the spelling")
        return found

    def size(self, path: str) -> int:
        """Return the bytes of the file at `path`, 0 for anything else."""
        found = self._find(path)
        return found.size if isinstance(found, RemoteEntry) else 0

    def known_sums(self, path: str) -> tuple[str, str]:  # noqa: ARG002 - the protocol's signature
        """Return ("", ""): no storage tells these."""
        return "", ""

    @contextmanager
    def open(self, path: str) -> Iterator[ReadableFile]:
        """Yield the file at `path`."""
        yield _OpenFile(self, path, self.file(path).size)

    def read(self, path: str, limit: int) -> bytes:
        """Return the bytes of the file at `path`."""
        with self.open(path) as file:
            if file.size > limit:
                raise too_large(path, file.size, limit)
            return file.read(file.size, 0)

    def prefetch(self, parts: Iterable[tuple[str, int]]) -> None:
        """Fetch the first bytes of several files at a time. Raises what reading them raises."""
        found = ((path, self._find(path), length) for path, length in parts)
        lengths = {
            path: min(length or header_guess(one.size), one.size)
            for path, one, length in found
            if isinstance(one, RemoteEntry)
        }
        wanted = {path: length for path, length in lengths.items() if self.lacks(path, length)}
        tasks = [(self.part, (path, 0, length)) for path, length in wanted.items()]
        if len(tasks) > 1:
            WorkerPool(THREADS, ignore).do(tasks)

    def part(self, path: str, start: int, end: int) -> bytes:
        """Return bytes `start` to `end` of a file; its start is fetched once."""
        kept = self._starts.get(path, b"")
        if start > len(kept):
            return self._fetched(path, start, end)
        if end > len(kept):
            kept += self._fetched(path, len(kept), end)
            if len(kept) <= MAX_KEPT:
                self._starts[path] = kept
        return kept[start:end]

    def lacks(self, path: str, length: int) -> bool:
        """Whether fewer than the first `length` bytes of a file were fetched."""
        return len(self._starts.get(path, b"")) < length

    def _fetched(self, path: str, start: int, end: int) -> bytes:
        if start >= end:
            return b""
        try:
            data: bytes = self._system.cat_file(self._path(path), start=start, end=end)
        except Exception as error:  # noqa: BLE001 - file systems have errors of their own
            raise failure(path, error) from None
        if len(data) != end - start:
            raise ChangedDuringRead("became shorter while it was read", path=path)
        return data

    def _listing(self, folder: str) -> Listing:
        folder = folder.rstrip("/")
        if folder not in self._folders:
            self._folders[folder] = self.entries(folder)
        return self._folders[folder]

    def _find(self, path: str) -> RemoteEntry | bool | None:
        """Return what is at `path`: a file, None for a folder, False for nothing."""
        if path.rstrip("/") == self.root:
            return self._root_file()
        folder, _, name = path.rstrip("/").rpartition("/")
        try:
            return self._listing(folder).get(name, False)
        except (PathNotFound, AccessRefused):
            return False

    def _root_file(self) -> RemoteEntry | None:
        """Return the file that was named, None for anything else."""
        if not self._named:
            try:
                found = _entry(self._system.info(self._inside))
            except FileNotFoundError:
                found = None  # the listing says what is wrong
            except Exception as error:  # noqa: BLE001 - file systems have errors of their own
                raise failure(self.root, error) from None
            if found and not found.size and self._has_listing():
                found = None  # an empty object in place of a folder
            self._named = [found]
        return self._named[0]

    def _has_listing(self) -> bool:
        try:
            return bool(self._listing(self.root))
        except (PathNotFound, AccessRefused):
            return False

    def _path(self, path: str) -> str:
        """Return a path as the file system has it: at or below the root, or beside it."""
        below = path.rstrip("/")
        if below == self.root or below.startswith(f"{self.root}/"):
            return f"{self._inside}{below[len(self.root) :]}"
        return f"{self._inside.rpartition('/')[0]}{below[len(self._above) :]}"


class _OpenFile(NamedTuple):
    """An open file at an address."""

    storage: FsspecStorage
    path: str
    size: int

    def read(self, length: int, offset: int) -> bytes:
        """Return exactly `length` bytes from `offset`.

        After a header's length the header is read, so both are fetched at once.
        """
        if offset == 0 and length <= LENGTH_BYTES and self.storage.lacks(self.path, length):
            self.storage.part(self.path, 0, header_guess(self.size))
        return self.storage.part(self.path, offset, offset + length)


def _entry(info: Mapping[str, Any]) -> RemoteEntry | None:
    if info.get("type") == "directory":
        return None
    etag = next((str(info[name]).strip('"') for name in _ETAGS if info.get(name)), "")
    xet = info.get("xet_hash")
    return RemoteEntry(_size(info), etag, _nanoseconds(info), xet if isinstance(xet, str) else "")


def _size(info: Mapping[str, Any]) -> int:
    size = info.get("size")
    return size if isinstance(size, int) else 0


def _nanoseconds(info: Mapping[str, Any]) -> int:
    """Return when a file was changed, 0 if that is not told."""
    value = next((info[name] for name in _TIMES if info.get(name)), 0)
    if isinstance(value, str):
        try:
            value = datetime.fromisoformat(value)
        except ValueError:
            return 0
    if isinstance(value, datetime):
        value = value.replace(tzinfo=value.tzinfo or UTC).timestamp()
    return int(value * 1e9) if isinstance(value, int | float) else 0
