"""Checkpoints on the Hugging Face Hub.

From what a person names to a repository at one commit, with its list of files.

huggingface_hub is imported here and nowhere else in what reads, when the first name on the Hub is
met: its session, token, endpoint, cache and offline mode are what counts. One request tells the
commit and every file's size and sums.
"""

from __future__ import annotations

import importlib
import os
import re
from typing import TYPE_CHECKING, Any

from ckpt_tools.errors import (
    AccessRefused,
    FormatError,
    HubNameInvalid,
    NoRepository,
    PathEscapes,
    PathNotFound,
    StoreError,
    UnknownSelection,
    Unreachable,
    WrongAnswer,
)
from ckpt_tools.storage.http import Client, Refusal, Wire
from ckpt_tools.storage.hub_name import (
    HubName,
    RemoteFile,
    Repository,
    is_hub_name,
    is_strange,
    parse,
)
from ckpt_tools.strict_json.parse import decode_utf8, parse_object

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ckpt_tools.strict_json.parse import JsonObject

__all__ = ["RemoteFile", "Repository", "cache_of", "connect", "file_url", "refused", "repository"]

LISTING_LIMIT = 64 << 20
"""Bytes of JSON. A repository of 100,000 files has 25 MB."""

_COMMIT = "[0-9a-f]{40}"
_SHA256 = "[0-9a-f]{64}"


def repository(where: str, wire: Wire | None = None) -> Repository:
    """Return the repository that `where` names, at the commit that its revision means now.

    Raises HubNameInvalid, PathNotFound (no such repository or revision), AccessRefused,
    Unreachable, WrongAnswer, or PathEscapes for a file name that no repository should hold.
    """
    try:
        return _repository(where, parse(where), wire or connect())
    except (NoRepository, Unreachable) as error:
        if is_hub_name(where):
            raise
        raise PathNotFound(
            f"there is nothing here, and {error.what}", path=where, hint=error.next
        ) from None


def _repository(where: str, name: HubName, wire: Wire) -> Repository:
    if _constants().HF_HUB_OFFLINE:
        return _from_cache(where, name)
    url = f"{wire.client.endpoint}/api/models/{name.repository}/revision/{_quoted(name.revision or 'main')}?blobs=true"
    try:
        listing = _json(wire, url)
    except Refusal as refusal:
        raise _not_found(wire, where, name, refusal) from None
    except StoreError as error:
        error.path = where
        raise
    commit = listing.get("sha")
    if not isinstance(commit, str) or not re.fullmatch(_COMMIT, commit):
        raise WrongAnswer("the Hub names no commit", path=where)
    return Repository(name.repository, commit, tuple(sorted(_files(where, listing))), name.path)


def refuse_cached(found: Repository) -> None:
    """Raise Unreachable where the files are those of the cache.

    It may have a part of them, and nobody can say what the Hub has.
    """
    if found.cached:
        raise Unreachable(
            "the Hub is not asked: HF_HUB_OFFLINE is set, and what the cache has may be a part",
            path=found.root,
            hint="unset it",
        )


def refuse_empty(found: Repository) -> None:
    """Raise PathNotFound where what was named inside is not there."""
    if found.path and not found.below:
        raise PathNotFound(
            "the repository has no such file or folder at this commit",
            path=f"{found.root}/{found.path}",
            hint="check the spelling",
        )


def connect() -> Wire:
    """Return a wire through huggingface_hub's own session, with the token that its client would send."""
    constants = _constants()
    utils, httpx = (
        importlib.import_module("huggingface_hub.utils"),
        importlib.import_module("httpx"),
    )
    errors, version = (
        importlib.import_module("huggingface_hub.errors"),
        importlib.import_module("ckpt_tools").__version__,
    )
    headers = utils.build_hf_headers(library_name="ckpt-tools", library_version=version)
    seconds = float(constants.HF_HUB_DOWNLOAD_TIMEOUT)
    return Wire(
        Client(
            utils.get_session(),
            httpx,
            errors.OfflineModeIsEnabled,
            constants.ENDPOINT.rstrip("/"),
            headers,
            seconds,
        )
    )


def file_url(wire: Wire, found: Repository, path: str) -> str:
    """Return where the Hub has the file at `path`, at the commit."""
    return f"{wire.client.endpoint}/{found.name}/resolve/{found.commit}/{_quoted(path, safe='/')}"


def cache_of(name: str) -> str:
    """Return the folder in which huggingface_hub keeps what it has downloaded of the repository `name`."""
    return os.path.join(_constants().HF_HUB_CACHE, "--".join(("models", *name.split("/"))))


def refused(wire: Wire, where: str, refusal: Refusal) -> AccessRefused | PathNotFound | WrongAnswer:
    """Return what a refusal to give a file or a listing of an existing repository means."""
    if refusal.code == "GatedRepo":
        msg = "is gated: its owner decides who may read it"
        asking = f"ask for access on {wire.client.endpoint}/{parse(where).repository}"
        return AccessRefused(
            msg,
            path=where,
            hint=asking if wire.client.has_token else f"{asking}, then log in with `hf auth login`",
        )
    if refusal.status in (401, 403):
        return AccessRefused(
            f"the Hub refuses it ({refusal.status}){f': {refusal.said}' * bool(refusal.said)}",
            path=where,
            hint="check the token: `hf auth whoami`" if wire.client.has_token else "",
        )
    if refusal.status == 404 and refusal.code == "RevisionNotFound":  # noqa: PLR2004 - Not Found
        return PathNotFound(
            "has no such branch, tag or commit",
            path=where,
            hint=f"look at {wire.client.endpoint}/{parse(where).repository}/branches",
        )
    if refusal.status in (404, 410):
        return PathNotFound("is not on the Hub", path=where, hint="check the spelling")
    return WrongAnswer(
        f"the Hub answered {refusal.status}{f': {refusal.said}' * bool(refusal.said)}", path=where
    )


def _not_found(
    wire: Wire, where: str, name: HubName, refusal: Refusal
) -> StoreError | AccessRefused | PathNotFound | HubNameInvalid:
    """Return what it means that the Hub gives no listing.

    Another kind of repository, none at all, or one that who asks may not see.
    """
    if refusal.code != "RepoNotFound":
        return refused(wire, where, refusal)
    for kind, words in (("datasets", "a dataset"), ("spaces", "a Space")):
        try:
            _json(wire, f"{wire.client.endpoint}/api/{kind}/{name.repository}")
        except (Refusal, WrongAnswer):
            continue
        return HubNameInvalid(
            f"is {words}; checkpoints are in model repositories",
            path=where,
            hint=f"check the name: {wire.client.endpoint}/{kind}/{name.repository} is no model",
        )
    msg = "no such model is on the Hub, or it is private"
    known = "check the spelling, and whether your token may read it: `hf auth whoami`"
    return NoRepository(
        msg,
        path=where,
        hint=known
        if wire.client.has_token
        else "check the spelling; a private one is read after `hf auth login`",
    )


def _json(wire: Wire, url: str) -> JsonObject:
    try:
        return parse_object(decode_utf8(wire.whole(url, LISTING_LIMIT)))
    except FormatError as error:
        raise WrongAnswer(
            f"{wire.named(url)} answered with something that is not the Hub's JSON: {error.what}",
            path=url,
        ) from None


def _files(where: str, listing: JsonObject) -> Iterator[RemoteFile]:
    siblings = listing.get("siblings")
    for sibling in siblings if isinstance(siblings, list) else ():
        file: dict[str, Any] = sibling if isinstance(sibling, dict) else {}
        path, size, lfs = file.get("rfilename"), file.get("size"), file.get("lfs")
        if not isinstance(path, str) or not isinstance(size, int) or size < 0:
            raise WrongAnswer("the Hub lists a file without its name or size", path=where)
        if is_strange(path):
            raise PathEscapes(
                f"the Hub lists a file called {path!r}, which leads out of the repository",
                path=where,
            )
        sha256 = lfs.get("sha256") if isinstance(lfs, dict) else None
        yield RemoteFile(path, size, _id(sha256, _SHA256), _id(file.get("blobId"), _COMMIT))


def _id(value: object, form: str) -> str:
    return value if isinstance(value, str) and re.fullmatch(form, value) else ""


# --- what this machine has ------------------------------------------------------------------------


def _from_cache(where: str, name: HubName) -> Repository:
    """Return the repository as the cache has it.

    Raises Unreachable where it has nothing of that revision.
    """
    folder, revision = cache_of(name.repository), name.revision or "main"
    reference = os.path.join(folder, "refs", *revision.split("/"))
    commit = revision
    if not is_strange(revision) and os.path.isfile(reference):
        with open(reference, encoding="ascii", errors="replace") as file:
            commit = file.read(1024).strip()
    snapshot = os.path.join(folder, "snapshots", commit)
    if not re.fullmatch(_COMMIT, commit) or not os.path.isdir(snapshot):
        msg = "the Hub is not asked for it: HF_HUB_OFFLINE is set, and its cache has nothing of it"
        at = f" --revision {name.revision}" * bool(name.revision)
        raise Unreachable(
            msg,
            path=where,
            hint=f"unset it, or run this while online: hf download {name.repository}{at}",
        )
    return Repository(
        name.repository, commit, tuple(sorted(_cached_files(snapshot))), name.path, snapshot
    )


def _cached_files(snapshot: str) -> Iterator[RemoteFile]:
    """Yield the files of a snapshot.

    A blob's name is its sha256 or git's id; where files are no links, neither is known.
    """
    for folder, _, names in os.walk(snapshot):
        for name in names:
            path = os.path.join(folder, name)
            blob = os.path.basename(os.readlink(path)) if os.path.islink(path) else ""
            relative = os.path.relpath(path, snapshot).replace(os.sep, "/")
            if os.path.isfile(path):
                yield RemoteFile(
                    relative, os.stat(path).st_size, _id(blob, _SHA256), _id(blob, _COMMIT)
                )


def _quoted(text: str, safe: str = "") -> str:
    return str(importlib.import_module("urllib.parse").quote(text, safe=safe))


def _constants() -> Any:  # noqa: ANN401 - the module huggingface_hub.constants, imported late
    try:
        return importlib.import_module("huggingface_hub.constants")
    except ValueError as error:  # it reads its variables when it is imported
        raise UnknownSelection(
            f"huggingface_hub does not understand its environment: {error}",
            hint="look at the variables that start with HF_",
        ) from None
