"""Names on the Hugging Face Hub.

`hf://owner/name[@revision][/path]`, and `owner/name[@revision]` if no such local path exists.
"""

from __future__ import annotations

import re
from typing import NamedTuple

from ckpt_tools import shell
from ckpt_tools.errors import HubNameInvalid
from ckpt_tools.storage.paths import leaves_folder

SCHEME = "hf://"
BUCKETS = f"{SCHEME}buckets/"
"""How addresses of the Hub's buckets start, which are no repositories."""

HUB_ADDED_FILES = ".gitattributes"
"""The file that the Hub adds to every repository, and that no checkpoint has."""

_MODELS = "models"
_OTHER_KINDS = {
    "datasets": "a dataset",
    "spaces": "a Space",
    "kernels": "a kernel",
    "buckets": "a bucket",
}
_WORD = r"[A-Za-z0-9](?:[\w.-]{0,94}[A-Za-z0-9_])?"
_REPOSITORY = rf"(?!.*(?:--|\.\.)){_WORD}/{_WORD}(?<!\.git)"
_LONGEST_REPOSITORY = 96
_SPECIAL_REVISION = r"refs/(?:pr/\d+|convert/[\w.-]+)"
"""The Hub's own revisions with slashes; other slashes are written %2F, as for `hf`."""

_FILE_ENDINGS = (".safetensors", ".json", ".bin", ".pt", ".pth", ".ckpt", ".pkl", ".git")


def is_hub_name(where: str) -> bool:
    """Whether `where` starts with `hf://`, and is no bucket."""
    return where.startswith(SCHEME) and not where.startswith(BUCKETS)


def may_be_hub_name(where: str) -> bool:
    """Whether `where` has the form `owner/name` or `owner/name@revision`."""
    repository, _, revision = where.partition("@")
    return (
        _is_repository(repository)
        and not revision.endswith("/")
        and not where.endswith(_FILE_ENDINGS)
    )


def parse(where: str) -> HubName:
    """Return the parts of a name on the Hub. Raises HubNameInvalid."""
    body = where.removeprefix(SCHEME).rstrip("/")
    kind, _, rest = body.partition("/")
    if kind in _OTHER_KINDS and "/" in rest:
        raise HubNameInvalid(
            f"names {_OTHER_KINDS[kind]}; checkpoints are in model repositories", path=where
        )
    if kind == _MODELS and "/" in rest:
        body = rest
    match = re.fullmatch(
        rf"(?P<repository>[^/@]+/[^/@]+)(?:@(?P<revision>{_SPECIAL_REVISION}|[^/]*))?"
        r"(?:/(?P<path>.+))?",
        body,
        re.DOTALL,
    )
    if match is None or not _is_repository(match["repository"]):
        raise HubNameInvalid("is not a valid name on the Hub", path=where)
    path = match["path"] or ""
    revision = re.sub("%2F", "/", match["revision"] or "", flags=re.IGNORECASE)
    if match["revision"] is not None and not _is_revision(revision):
        raise HubNameInvalid("has no valid branch, tag or commit after the @", path=where)
    if path and is_strange(path):
        raise HubNameInvalid("has a path that no repository can contain", path=where)
    return HubName(match["repository"], revision, path)


def download(name: HubName) -> tuple[str, str]:
    """Return the command that downloads what `name` names, and the resulting local path."""
    at = f" --revision {shell.quote(name.revision)}" * bool(name.revision)
    inside = f" --include {shell.quote(f'{name.path}*')}" * bool(name.path)
    folder = name.repository.partition("/")[2]
    return (
        f"hf download {name.repository}{at}{inside} --local-dir {folder}",
        f"{folder}/{name.path}".rstrip("/"),
    )


def is_strange(path: str) -> bool:
    """Whether `path` leads outside a repository, or is not the path of a file."""
    return leaves_folder(path) or any(part in {"", ".", ".."} for part in path.split("/"))


def _is_repository(text: str) -> bool:
    return len(text) <= _LONGEST_REPOSITORY and bool(re.fullmatch(_REPOSITORY, text, re.ASCII))


def _is_revision(text: str) -> bool:
    return bool(text) and text.isprintable() and ".." not in text and text[0] not in "/-"


class HubName(NamedTuple):
    """The parts of a name: a repository `owner/name`, and what may follow.

    A branch, tag or commit ("" for the main branch), and a path inside ("" for the whole).
    """

    repository: str
    revision: str = ""
    path: str = ""


class RemoteFile(NamedTuple):
    """A file by its path in the repository.

    `sha256` is known of files stored with LFS only; `blob_id`, git's id, is then that of the LFS
    pointer, else of the content. Each is "" if unknown.
    """

    path: str
    size: int
    sha256: str = ""
    blob_id: str = ""

    @property
    def content(self) -> str:
        """What identifies the content: its SHA-256, else git's id, "" if neither is known."""
        return self.sha256 or self.blob_id


class Repository(NamedTuple):
    """A model repository at one commit.

    `files` are all of its files, sorted by path; `path` is the folder or file inside that was
    named, "" for the whole. `cached` is the folder of this commit in the local cache if the list
    is the cache's, in offline mode; else "".
    """

    name: str
    commit: str
    files: tuple[RemoteFile, ...]
    path: str = ""
    cached: str = ""

    @property
    def root(self) -> str:
        """The name of the repository at its commit."""
        return f"{SCHEME}{self.name}@{self.commit}"

    @property
    def below(self) -> tuple[RemoteFile, ...]:
        """The files below `path`, with paths relative to it; the file itself if it is one."""
        folder = f"{self.path}/" * bool(self.path)
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
    """Requests sent, bytes received in their bodies, and the size of the files read from."""

    requests: int
    received: int
    total: int
