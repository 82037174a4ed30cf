"""Names on the Hugging Face Hub.

`hf://owner/name[@revision][/path]`, and `owner/name[@revision]` where it cannot be anything else.
"""

from __future__ import annotations

import re
from typing import NamedTuple

from ckpt_tools.errors import HubNameInvalid
from ckpt_tools.storage.paths import leaves_folder

SCHEME = "hf://"
_OTHERS = {
    "datasets": "a dataset",
    "spaces": "a Space",
    "kernels": "a kernel",
    "buckets": "a bucket",
}
_MODELS = "models"
_WORD = r"[A-Za-z0-9](?:[\w.-]{0,94}[A-Za-z0-9_])?"
_REPOSITORY = f"{_WORD}/{_WORD}"
_SPECIAL = r"refs/(?:pr/\d+|convert/[\w.-]+)"
"""Revisions of the Hub's own that have slashes in them.

Another one is written with %2F, as `hf` does.
"""

_LONGEST = 96
_FILE_ENDINGS = (".safetensors", ".json", ".bin", ".pt", ".pth", ".ckpt", ".pkl", ".git")


def is_hub_name(where: str) -> bool:
    """Whether `where` says itself that it is a name on the Hub."""
    return where.startswith(SCHEME)


def may_be_hub_name(where: str) -> bool:
    """Whether `where`, which is no path on this machine, has the form `owner/name` or `owner/name@revision`."""
    repository, _, revision = where.partition("@")
    return (
        bool(re.fullmatch(_REPOSITORY, repository, re.ASCII))
        and _fits(repository)
        and not revision.endswith("/")
        and not where.endswith(_FILE_ENDINGS)
    )


def parse(where: str) -> HubName:
    """Return what `where` names. Raises HubNameInvalid."""
    body = where.removeprefix(SCHEME).rstrip("/")
    kind, _, rest = body.partition("/")
    if kind in _OTHERS and "/" in rest:
        raise HubNameInvalid(
            f"names {_OTHERS[kind]}; checkpoints are in model repositories", path=where
        )
    if kind == _MODELS and "/" in rest:
        body = rest
    found = re.fullmatch(
        rf"(?P<repository>[^/@]+/[^/@]+)(?:@(?P<revision>{_SPECIAL}|[^/]*))?(?:/(?P<path>.+))?",
        body,
        re.DOTALL,
    )
    if (
        found is None
        or not re.fullmatch(_REPOSITORY, found["repository"], re.ASCII)
        or not _fits(found["repository"])
    ):
        raise HubNameInvalid("is no name on the Hub", path=where)
    revision, path = (
        re.sub("%2F", "/", found["revision"] or "", flags=re.IGNORECASE),
        found["path"] or "",
    )
    if found["revision"] is not None and not _is_revision(revision):
        raise HubNameInvalid("names no branch, tag or commit after the @", path=where)
    if path and is_strange(path):
        raise HubNameInvalid("its path is none that a repository can hold", path=where)
    return HubName(found["repository"], revision, path)


def download(name: HubName) -> tuple[str, str]:
    """Return the command that brings to this machine what `name` names, and the folder where it then is."""
    at = f" --revision {name.revision}" * bool(name.revision)
    path = name.path.replace("'", "'\\''")
    inside = f" --include '{path}*'" * bool(path)
    folder = name.repository.partition("/")[2]
    return (
        f"hf download {name.repository}{at}{inside} --local-dir {folder}",
        f"{folder}/{name.path}".rstrip("/"),
    )


def is_strange(path: str) -> bool:
    """Whether a path leads out of a repository, or is none that a file can have."""
    return (
        not path or leaves_folder(path) or any(part in ("", ".", "..") for part in path.split("/"))
    )


def _fits(repository: str) -> bool:
    return (
        len(repository) <= _LONGEST
        and "--" not in repository
        and ".." not in repository
        and not repository.endswith(".git")
    )


def _is_revision(revision: str) -> bool:
    return (
        bool(revision)
        and revision.isprintable()
        and ".." not in revision
        and not revision.startswith(("/", "-"))
    )


HUB_ADDED_FILES = ".gitattributes"
"""The file that the Hub adds to every repository, and that nobody has beside a checkpoint."""


class HubName(NamedTuple):
    """What a person named.

    The repository `owner/name`, a branch, tag or commit ("" for the main branch), and a path inside
    ("" for all of it).
    """

    repository: str
    revision: str = ""
    path: str = ""

    @property
    def shown(self) -> str:
        """The name in full."""
        return f"hf://{self.repository}{f'@{self.revision}' * bool(self.revision)}{f'/{self.path}' * bool(self.path)}"


class RemoteFile(NamedTuple):
    """A file by its path in the repository.

    `sha256` is that of its content, "" where it is not stored with LFS; `blob_id` is git's id (""
    if unknown).

    With LFS git keeps a pointer, and `blob_id` is the pointer's. Without, it is that of the
    content.
    """

    path: str
    size: int
    sha256: str = ""
    blob_id: str = ""

    @property
    def content(self) -> str:
        """What names the content, whatever the file is called: a sha256, or git's id.

        "" if neither is known.
        """
        return self.sha256 or self.blob_id


class Repository(NamedTuple):
    """A model repository at one commit.

    `files` are all of it, sorted by path; `path` is what was named inside, a folder or a file, ""
    for all.

    `cached` is the folder of this commit in this machine's cache, where the files are from it
    because the Hub was not to be asked; else "".
    """

    name: str
    commit: str
    files: tuple[RemoteFile, ...]
    path: str = ""
    cached: str = ""

    @property
    def root(self) -> str:
        """The repository at its commit, as a name."""
        return f"hf://{self.name}@{self.commit}"

    @property
    def below(self) -> tuple[RemoteFile, ...]:
        """The files that were named: those below `path`, with paths from there.

        If `path` is a file, that one.
        """
        if not self.path:
            return self.files
        folder = f"{self.path}/"
        inside = tuple(
            file._replace(path=file.path.removeprefix(folder))
            for file in self.files
            if file.path.startswith(folder)
        )
        return inside or tuple(
            file._replace(path=file.path.rpartition("/")[2])
            for file in self.files
            if file.path == self.path
        )


class Transfer(NamedTuple):
    """What reading took.

    Requests sent, bytes that came (of bodies), and the bytes of what it was read from.
    """

    requests: int
    received: int
    total: int
