"""Names on the Hugging Face Hub: `hf://owner/name[@revision][/path]`, and `owner/name[@revision]` where it cannot be anything else."""

from __future__ import annotations

import re

from ckpt_tools.errors import HubNameInvalid
from ckpt_tools.format.shard_index import leaves_folder
from ckpt_tools.records.remote import HubName

SCHEME = "hf://"
_OTHERS = {"datasets": "a dataset", "spaces": "a Space", "kernels": "a kernel", "buckets": "a bucket"}
_MODELS = "models"
_WORD = r"[A-Za-z0-9](?:[\w.-]{0,94}[A-Za-z0-9_])?"
_REPOSITORY = f"{_WORD}/{_WORD}"
_SPECIAL = r"refs/(?:pr/\d+|convert/[\w.-]+)"
"""Revisions of the Hub's own that have slashes in them; another one is written with %2F, as `hf` does."""

_LONGEST = 96
_FILE_ENDINGS = (".safetensors", ".json", ".bin", ".pt", ".pth", ".ckpt", ".pkl", ".git")


def is_hub_name(where: str) -> bool:
    """Whether `where` says itself that it is a name on the Hub."""
    return where.startswith(SCHEME)


def may_be_hub_name(where: str) -> bool:
    """Whether `where`, which is no path on this machine, has the form `owner/name` or `owner/name@revision`."""
    repository, _, revision = where.partition("@")
    return bool(re.fullmatch(_REPOSITORY, repository, re.ASCII)) and _fits(repository) and not revision.endswith("/") and not where.endswith(_FILE_ENDINGS)


def parse(where: str) -> HubName:
    """Return what `where` names. Raises HubNameInvalid."""
    body = where.removeprefix(SCHEME).rstrip("/")
    kind, _, rest = body.partition("/")
    if kind in _OTHERS and "/" in rest:
        msg = f"names {_OTHERS[kind]}; checkpoints are in model repositories"
        raise HubNameInvalid(msg, path=where)
    if kind == _MODELS and "/" in rest:
        body = rest
    found = re.fullmatch(rf"(?P<repository>[^/@]+/[^/@]+)(?:@(?P<revision>{_SPECIAL}|[^/]*))?(?:/(?P<path>.+))?", body, re.DOTALL)
    if found is None or not re.fullmatch(_REPOSITORY, found["repository"], re.ASCII) or not _fits(found["repository"]):
        msg = "is no name on the Hub"
        raise HubNameInvalid(msg, path=where)
    revision, path = re.sub("%2F", "/", found["revision"] or "", flags=re.IGNORECASE), found["path"] or ""
    if found["revision"] is not None and not _is_revision(revision):
        msg = "names no branch, tag or commit after the @"
        raise HubNameInvalid(msg, path=where)
    if path and is_strange(path):
        msg = "its path is none that a repository can hold"
        raise HubNameInvalid(msg, path=where)
    return HubName(found["repository"], revision, path)


def download(name: HubName) -> tuple[str, str]:
    """Return the command that brings to this machine what `name` names, and the folder where it then is."""
    at = f" --revision {name.revision}" * bool(name.revision)
    path = name.path.replace("'", "'\\''")
    inside = f" --include '{path}*'" * bool(path)
    folder = name.repository.partition("/")[2]
    return f"hf download {name.repository}{at}{inside} --local-dir {folder}", f"{folder}/{name.path}".rstrip("/")


def is_strange(path: str) -> bool:
    """Whether a path leads out of a repository, or is none that a file can have."""
    return not path or leaves_folder(path) or any(part in ("", ".", "..") for part in path.split("/"))


def _fits(repository: str) -> bool:
    return len(repository) <= _LONGEST and "--" not in repository and ".." not in repository and not repository.endswith(".git")


def _is_revision(revision: str) -> bool:
    return bool(revision) and revision.isprintable() and ".." not in revision and not revision.startswith(("/", "-"))
