"""Repositories on the Hugging Face Hub: a name resolved to a commit and its list of files.

One request returns the commit and every file's size and hashes. In offline mode the list is that
of the local cache.
"""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from ckpt_tools import shell
from ckpt_tools.errors import (
    AccessRefused,
    FormatError,
    HubNameInvalid,
    NoRepository,
    PathEscapes,
    PathNotFound,
    StoreError,
    Unreachable,
    WrongAnswer,
)
from ckpt_tools.storage.hub_client import HubClient, Refusal
from ckpt_tools.storage.hub_name import (
    HubName,
    RemoteFile,
    Repository,
    download,
    is_hub_name,
    is_strange,
    parse,
)
from ckpt_tools.strict_json.parse import decode_utf8, parse_object

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ckpt_tools.strict_json.parse import JsonObject

LISTING_LIMIT = 64 << 20
"""Bytes of JSON. A repository of 100,000 files has 25 MB."""

_COMMIT = "[0-9a-f]{40}"
_SHA256 = "[0-9a-f]{64}"


def repository(
    where: str, client: HubClient | None = None, *, complete: bool = False
) -> Repository:
    """Return the repository that `where` names, at the commit its revision stands for now.

    With `complete`, the list of files is never the cache's.
    Raises HubNameInvalid, PathNotFound (no such repository or revision), AccessRefused,
    Unreachable, WrongAnswer, or PathEscapes for a file path that leads outside the repository.
    """
    name, client = parse(where), client or HubClient()
    try:
        if client.offline:
            if complete:
                refuse_offline(where, local=False)
            return _from_cache(where, name, client.cache_of(name.repository))
        return _from_hub(where, name, client)
    except (NoRepository, Unreachable) as error:
        if is_hub_name(where):
            raise
        raise PathNotFound(
            f"no such file or directory, and {error.what}", path=where, hint=error.next
        ) from None


def _from_hub(where: str, name: HubName, client: HubClient) -> Repository:
    revision = quote(name.revision or "main", safe="")
    url = f"{client.endpoint}/api/models/{name.repository}/revision/{revision}?blobs=true"
    try:
        listing = _json(client, url)
    except Refusal as refusal:
        raise _not_found(client, where, name, refusal) from None
    except StoreError as error:
        error.path = where
        raise
    commit = commit_in(listing.get("sha"))
    if not commit:
        raise WrongAnswer("the Hub's answer names no commit", path=where)
    return Repository(name.repository, commit, tuple(sorted(_files(where, listing))), name.path)


def refuse_offline(where: str, *, local: bool) -> None:
    """Raise Unreachable in offline mode, where the list of files is the cache's.

    It may be incomplete, whatever was downloaded. `local`: a local copy can be named instead.
    """
    if HubClient().offline:
        command, folder = download(parse(where))
        instead = f", or run this while online and name the folder {folder} instead: {command}"
        is_path = local and not is_hub_name(where)
        raise Unreachable(
            f"{'no such file or directory, and ' * is_path}offline mode is enabled"
            " (HF_HUB_OFFLINE is set), and the cache may be incomplete",
            path=where,
            hint=f"unset HF_HUB_OFFLINE{instead * local}",
        )


def refuse_empty(found: Repository) -> None:
    """Raise PathNotFound if the path inside the repository does not exist."""
    if found.path and not found.below:
        raise PathNotFound(
            "the repository has no such file or folder at this commit",
            path=f"{found.root}/{found.path}",
            hint="check the spelling",
        )


def file_url(client: HubClient, found: Repository, path: str) -> str:
    """Return the address of the file at `path`, at the commit."""
    return f"{client.endpoint}/{found.name}/resolve/{found.commit}/{quote(path)}"


def refused(
    client: HubClient, where: str, refusal: Refusal
) -> AccessRefused | PathNotFound | WrongAnswer:
    """Return the error for a file, or the list of files, that the Hub refuses to send."""
    page = f"{client.endpoint}/{parse(where).repository}"
    detail = f": {refusal.message}" * bool(refusal.message)
    if refusal.code == "GatedRepo":
        log_in = ", then log in with `hf auth login`" * (not client.has_token)
        return AccessRefused(
            "is gated: its owner decides who may read it",
            path=where,
            hint=f"request access at {page}{log_in}",
        )
    if refusal.status in {401, 403}:
        return AccessRefused(
            f"the Hub denied access ({refusal.status}){detail}",
            path=where,
            hint="check the token: `hf auth whoami`" if client.has_token else "",
        )
    if refusal.code == "RevisionNotFound":
        return PathNotFound(
            "no such branch, tag or commit", path=where, hint=f"branches: {page}/branches"
        )
    if refusal.status in {404, 410}:
        return PathNotFound("does not exist on the Hub", path=where, hint="check the spelling")
    return WrongAnswer(f"the Hub answered {refusal.status}{detail}", path=where)


def _not_found(
    client: HubClient, where: str, name: HubName, refusal: Refusal
) -> AccessRefused | PathNotFound | HubNameInvalid | WrongAnswer:
    """Return the error for a model that the Hub does not list: if possible, what it is instead."""
    if refusal.code != "RepoNotFound":
        return refused(client, where, refusal)
    for kind, title in (("datasets", "a dataset"), ("spaces", "a Space")):
        try:
            _json(client, f"{client.endpoint}/api/{kind}/{name.repository}")
        except (Refusal, WrongAnswer):
            continue
        return HubNameInvalid(
            f"is {title}; checkpoints are in model repositories",
            path=where,
            hint=f"check the name: {client.endpoint}/{kind}/{name.repository} is not a model",
        )
    return NoRepository(
        "no such model on the Hub, or it is private",
        path=where,
        hint="check the spelling, and that your token can read it: `hf auth whoami`"
        if client.has_token
        else "check the spelling; to read a private one, log in with `hf auth login`",
    )


def _json(client: HubClient, url: str) -> JsonObject:
    try:
        return parse_object(decode_utf8(client.whole(url, LISTING_LIMIT)))
    except FormatError as error:
        raise WrongAnswer(
            f"the Hub's answer is not the expected JSON: {error.what}", path=url
        ) from None


def _files(where: str, listing: JsonObject) -> Iterator[RemoteFile]:
    siblings = listing.get("siblings")
    for sibling in siblings if isinstance(siblings, list) else ():
        file: dict[str, Any] = sibling if isinstance(sibling, dict) else {}
        path, size, lfs = file.get("rfilename"), file.get("size"), file.get("lfs")
        if not isinstance(path, str) or not isinstance(size, int) or size < 0:
            raise WrongAnswer("the Hub lists a file without a name or size", path=where)
        if is_strange(path):
            raise PathEscapes(
                f"the Hub lists the file {path!r}, which is outside the repository", path=where
            )
        sha256 = lfs.get("sha256") if isinstance(lfs, dict) else None
        yield RemoteFile(
            path, size, _matching(sha256, _SHA256), _matching(file.get("blobId"), _COMMIT)
        )


def commit_in(value: object) -> str:
    """Return a commit in an answer of the Hub, "" for anything else."""
    return _matching(value, _COMMIT)


def _matching(value: object, pattern: str) -> str:
    return value if isinstance(value, str) and re.fullmatch(pattern, value) else ""


# --- offline --------------------------------------------------------------------------------------


def _from_cache(where: str, name: HubName, folder: str) -> Repository:
    """Return the repository as the cache has it. Raises Unreachable if it lacks the revision."""
    commit = name.revision or "main"
    reference = os.path.join(folder, "refs", *commit.split("/"))
    if not is_strange(commit) and os.path.isfile(reference):
        with open(reference, encoding="ascii", errors="replace") as file:
            commit = file.read(1024).strip()
    snapshot = os.path.join(folder, "snapshots", commit)
    if not re.fullmatch(_COMMIT, commit) or not os.path.isdir(snapshot):
        at = f" --revision {shell.quote(name.revision)}" * bool(name.revision)
        command = f"hf download {name.repository}{at}"
        raise Unreachable(
            "offline mode is enabled (HF_HUB_OFFLINE is set), and the cache has no such revision",
            path=where,
            hint=f"unset HF_HUB_OFFLINE, or run this while online: {command}",
        )
    files = tuple(sorted(_cached_files(snapshot)))
    return Repository(name.repository, commit, files, name.path, snapshot)


def _cached_files(snapshot: str) -> Iterator[RemoteFile]:
    """Yield the files of a snapshot: links to blobs whose names are their hashes.

    On file systems without links they are copies, whose hashes are unknown.
    """
    for folder, _, names in os.walk(snapshot):
        for name in names:
            path = os.path.join(folder, name)
            blob = os.path.basename(os.readlink(path)) if os.path.islink(path) else ""
            if os.path.isfile(path):
                yield RemoteFile(
                    os.path.relpath(path, snapshot).replace(os.sep, "/"),
                    os.stat(path).st_size,
                    _matching(blob, _SHA256),
                    _matching(blob, _COMMIT),
                )
