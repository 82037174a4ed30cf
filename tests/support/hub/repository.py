"""Repositories in memory: files, commits, branches and tags, as the Hub keeps them."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import cached_property
from typing import TYPE_CHECKING

from tests.support.hub.messages import Refused

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

EPOCH = datetime(2024, 1, 1, tzinfo=UTC)
LFS_SUFFIXES = (
    "7z", "arrow", "bin", "bz2", "ckpt", "ftz", "gz", "h5", "joblib", "mlmodel", "model", "msgpack",
    "npy", "npz", "onnx", "ot", "parquet", "pb", "pickle", "pkl", "pt", "pth", "rar", "safetensors",
    "tar", "tflite", "tgz", "wasm", "xz", "zip", "zst",
)  # fmt: skip
GITATTRIBUTES = "".join(
    f"*.{suffix} filter=lfs diff=lfs merge=lfs -text\n" for suffix in LFS_SUFFIXES
).encode()

PULL_REQUESTS = "refs/pr/"
"""How the branch of a pull request is called, with its number."""


def is_lfs(path: str, size: int, threshold: int) -> bool:
    """Whether the Hub keeps a file with LFS: by its suffix or its size. An empty file never."""
    return size > 0 and (size >= threshold or path.rpartition(".")[2] in LFS_SUFFIXES)


def git_oid(data: bytes, kind: str = "blob") -> str:
    """The id that git gives to this content."""
    return hashlib.sha1(f"{kind} {len(data)}\0".encode() + data, usedforsecurity=False).hexdigest()


def md5_etag(data: bytes) -> str:
    """What a storage calls a content, or a part of one."""
    return f'"{hashlib.md5(data, usedforsecurity=False).hexdigest()}"'


@dataclass(frozen=True)
class Blob:
    """A file's content; with LFS, git itself keeps only a pointer to it."""

    data: bytes
    lfs: bool

    @property
    def size(self) -> int:
        return len(self.data)

    @cached_property
    def sha256(self) -> str:
        return hashlib.sha256(self.data).hexdigest()

    @cached_property
    def pointer(self) -> bytes:
        return (
            f"version https://git-lfs.github.com/spec/v1\noid sha256:{self.sha256}\nsize"
            f" {self.size}\n"
        ).encode()

    @cached_property
    def oid(self) -> str:
        """What git calls the file: the id of its content, or of its pointer."""
        return git_oid(self.pointer if self.lfs else self.data)

    @property
    def etag(self) -> str:
        """What the Hub calls the content: its sha256 with LFS, else git's id."""
        return self.sha256 if self.lfs else self.oid


@dataclass(frozen=True)
class Commit:
    """All files at one moment."""

    id: str
    parent: str | None
    title: str
    description: str
    time: datetime
    files: Mapping[str, Blob]

    @property
    def date(self) -> str:
        return self.time.strftime("%Y-%m-%dT%H:%M:%S.000Z")

    def file(self, path: str) -> Blob:
        """The file at this path, or the client's EntryNotFoundError."""
        if path not in self.files:
            raise Refused(404, "Entry not found", "EntryNotFound", {"X-Repo-Commit": self.id})
        return self.files[path]

    def below(self, folder: str) -> dict[str, Blob]:
        """The files below a folder, or all for the folder ''."""
        return {
            path: blob
            for path, blob in self.files.items()
            if path.startswith(f"{folder}/") or not folder
        }

    def folders(self) -> list[str]:
        """Every folder, however deep, in order."""
        return sorted(
            {path[:at] for path in self.files for at, letter in enumerate(path) if letter == "/"}
        )


@dataclass
class Repository:
    """One repository with its history.

    `bases` are the models that it declares to derive from, `objects` the LFS contents that it was
    ever given, by sha256.
    """

    name: str
    private: bool = False
    gated: bool = False
    bases: tuple[str, ...] = ()
    history: dict[str, Commit] = field(default_factory=dict)
    branches: dict[str, str] = field(default_factory=dict)
    tags: dict[str, str] = field(default_factory=dict)
    objects: dict[str, bytes] = field(default_factory=dict)

    def resolve(self, revision: str) -> Commit:
        """The commit of a branch, a tag, or a commit id (or its first seven letters or more).

        Raises the client's RevisionNotFoundError if there is none.
        """
        wanted = self.branches.get(revision) or self.tags.get(revision) or revision
        found = [
            commit
            for commit in self.history.values()
            if commit.id == wanted or (len(wanted) >= 7 and commit.id.startswith(wanted))
        ]
        if len(found) != 1:
            raise Refused(404, f"Invalid rev id: {revision}", "RevisionNotFound")
        return found[0]

    def head(self, branch: str) -> Commit:
        """The last commit of a branch, or the client's RevisionNotFoundError."""
        if branch not in self.branches:
            raise Refused(404, f"Invalid rev id: {branch}", "RevisionNotFound")
        return self.history[self.branches[branch]]

    def propose(self, parent: Commit) -> int:
        """The number of a new pull request, whose branch starts at a commit."""
        number = 1 + sum(name.startswith(PULL_REQUESTS) for name in self.branches)
        self.branches[f"{PULL_REQUESTS}{number}"] = parent.id
        return number

    def commit(
        self, files: Mapping[str, Blob], title: str, *, description: str = "", branch: str = "main"
    ) -> Commit:
        """A new commit that holds exactly these files.

        Never the id of another, even with the same content.
        """
        parent = self.branches.get(branch)
        tree = "".join(f"{path} {files[path].oid}\n" for path in sorted(files))
        oid = git_oid(
            f"{self.name} {len(self.history)} {parent} {title}\n{description}\n{tree}".encode(),
            "commit",
        )
        self.history[oid] = Commit(
            oid,
            parent,
            title,
            description,
            EPOCH + timedelta(seconds=len(self.history)),
            {path: files[path] for path in sorted(files)},
        )
        self.branches[branch] = oid
        self.objects |= {blob.sha256: blob.data for blob in files.values() if blob.lfs}
        return self.history[oid]

    def log(self, revision: str) -> Iterator[Commit]:
        """The commits that led to a revision, latest first."""
        commit: Commit | None = self.resolve(revision)
        while commit:
            yield commit
            commit = self.history[commit.parent] if commit.parent else None


@dataclass
class Upload:
    """An LFS content on its way."""

    repository: Repository
    oid: str
    size: int
    parts: dict[int, bytes] = field(default_factory=dict)

    def finish(self, data: bytes) -> None:
        """Keep the content, if it is what was announced."""
        if len(data) != self.size:
            raise Refused(
                400,
                (
                    f"EntityTooSmall or EntityTooLarge: {len(data)} bytes came, {self.size}"
                    " were announced"
                ),
            )
        if hashlib.sha256(data).hexdigest() != self.oid:
            raise Refused(400, f"BadDigest: the sha256 of what came is not {self.oid}")
        self.repository.objects[self.oid] = data
