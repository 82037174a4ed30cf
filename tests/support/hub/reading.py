"""What the Hub answers who looks and downloads.

Who one is, what a repository holds, and its files.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl, quote, urlencode

from tests.support.hub.messages import NONE, Answer, Refused, Request, answer_json, redirect
from tests.support.hub.protocol import (
    API,
    NAME,
    REPO,
    REVISION,
    USER,
    At,
    Endpoints,
    Protocol,
    checked,
)
from tests.support.hub.repository import PULL_REQUESTS, Blob, Commit, git_oid, md5_etag

if TYPE_CHECKING:
    from collections.abc import Mapping

ENDPOINTS = endpoint = Endpoints()

# --- who and what ---------------------------------------------------------------------------------


@endpoint("GET", "/api/whoami-v2")
def whoami(_hub: Protocol, request: Request, _at: At) -> Answer:
    checked(request)
    access = {"type": "access_token", "accessToken": {"displayName": "stand-in", "role": "write"}}
    return answer_json(
        {
            "type": "user",
            "id": "0",
            "name": USER,
            "fullname": USER,
            "isPro": False,
            "orgs": [],
            "auth": access,
        }
    )


@endpoint("GET", "/api/agent-harnesses")
def harnesses(_hub: Protocol, _request: Request, _at: At) -> Answer:
    return answer_json({"standardEnvVars": [], "harnesses": {}})


@endpoint("POST", "/api/validate-yaml")
def validate_yaml(_hub: Protocol, request: Request, _at: At) -> Answer:
    if not isinstance(request.json.get("content"), str):
        raise Refused(400, "content must be a string")
    return answer_json({"errors": [], "warnings": []})


@endpoint("GET", f"{API}/auth-check(?P<write>/write)?")
def auth_check(hub: Protocol, request: Request, at: At) -> Answer:
    hub.open(request, at, files=True, write=bool(at["write"]))
    return answer_json({})


@endpoint("GET", f"{API}(/revision/{REVISION})?")
def info(hub: Protocol, request: Request, at: At) -> Answer:
    """With `blobs`, the sizes and ids of files come along."""
    repository = hub.open(request, at)
    commit = repository.resolve(at["revision"] or "main")
    blobs = request.query.get("blobs", "").lower() in {"true", "1"}
    siblings = [
        {"rfilename": path, **(sibling(blob) if blobs else {})}
        for path, blob in commit.files.items()
    ]
    return answer_json({
        "_id": git_oid(repository.name.encode())[:24], "id": at["name"], "modelId": at["name"],
        "author": at["name"].split("/")[0], "sha": commit.id, "private": repository.private,
        "gated": "manual" if repository.gated else False, "disabled": False, "tags": [],
        "downloads": 0, "likes": 0, "createdAt": [*repository.log(commit.id)][-1].date,
        "lastModified": commit.date, "siblings": siblings,
    })  # fmt: skip


def sibling(blob: Blob) -> dict[str, Any]:
    """What model_info says of a file."""
    lfs = (
        {"lfs": {"sha256": blob.sha256, "size": blob.size, "pointerSize": len(blob.pointer)}}
        if blob.lfs
        else {}
    )
    return {"size": blob.size, "blobId": blob.oid, **lfs}


# --- trees and history ----------------------------------------------------------------------------


def entry(commit: Commit, path: str) -> dict[str, Any]:
    """What the tree says of a file or folder."""
    if path not in commit.files:
        return {
            "type": "directory",
            "oid": git_oid("\n".join(commit.below(path)).encode(), "tree"),
            "size": 0,
            "path": path,
        }
    blob = commit.files[path]
    lfs = (
        {"lfs": {"oid": blob.sha256, "size": blob.size, "pointerSize": len(blob.pointer)}}
        if blob.lfs
        else {}
    )
    return {"type": "file", "oid": blob.oid, "size": blob.size, "path": path, **lfs}


@endpoint("GET", f"{API}/tree/{REVISION}(/(?P<path>.+))?")
def tree(hub: Protocol, request: Request, at: At) -> Answer:
    """Page by page, as many entries as the `limit` or the Hub allows."""
    commit = hub.open(request, at).resolve(at["revision"])
    folder, query = at["path"].strip("/"), request.query
    if folder and folder not in commit.folders():
        commit.file("" if folder in commit.files else folder)
    depth = folder.count("/") + 1 if folder else 0
    paths = [
        path
        for path in sorted([*commit.folders(), *commit.files])
        if path.startswith(f"{folder}/") or not folder
    ]
    shown = [
        path
        for path in paths
        if path.count("/") == depth or query.get("recursive", "").lower() in {"true", "1"}
    ]
    start, largest = int(query.get("cursor", "0")), hub.limits.page_size
    end = start + min(int(query.get("limit", largest)), largest)
    link = (
        {"Link": f'<{hub.endpoint}{request.path}?{urlencode(query | {"cursor": end})}>; rel="next"'}
        if end < len(shown)
        else {}
    )
    return answer_json([entry(commit, path) for path in shown[start:end]], headers=link)


@endpoint("POST", f"{API}/paths-info/{REVISION}")
def paths_info(hub: Protocol, request: Request, at: At) -> Answer:
    """What is not there is left out."""
    commit = hub.open(request, at).resolve(at["revision"])
    is_json = "json" in request.headers.get("content-type", "")
    asked = (
        request.json["paths"]
        if is_json
        else [value for key, value in parse_qsl(request.body.decode()) if key == "paths"]
    )
    there = {*commit.folders(), *commit.files}
    return answer_json([entry(commit, path) for path in asked if path in there])


@endpoint("GET", f"{API}/refs")
def refs(hub: Protocol, request: Request, at: At) -> Answer:
    repository = hub.open(request, at)
    heads = [
        {"name": name, "ref": f"refs/heads/{name}", "targetCommit": oid}
        for name, oid in repository.branches.items()
    ]
    branches = [head for head in heads if not head["name"].startswith(PULL_REQUESTS)]
    proposals = [head | {"ref": head["name"]} for head in heads if head not in branches]
    tags = [
        {"name": name, "ref": f"refs/tags/{name}", "targetCommit": oid}
        for name, oid in repository.tags.items()
    ]
    return answer_json(
        {"branches": branches, "tags": tags, "converts": [], "pullRequests": proposals}
    )


@endpoint("GET", f"{API}/commits/{REVISION}")
def commits(hub: Protocol, request: Request, at: At) -> Answer:
    log = hub.open(request, at).log(at["revision"])
    return answer_json(
        [
            {
                "id": c.id,
                "title": c.title,
                "message": c.description,
                "date": c.date,
                "authors": [{"user": USER}],
            }
            for c in log
        ]
    )


# --- downloads ------------------------------------------------------------------------------------


@endpoint("GET", f"/{REPO}/resolve/{REVISION}/(?P<path>.+)")
def resolve(hub: Protocol, request: Request, at: At) -> Answer:
    """LFS files are elsewhere, small files of public repositories behind a cache.

    The rest is here.
    """
    repository = hub.open(request, at, files=True)
    commit = repository.resolve(at["revision"])
    blob = commit.file(at["path"])
    etag = f'"{blob.etag}"'
    known = {
        "X-Repo-Commit": commit.id,
        "X-Linked-Size": str(blob.size),
        "X-Linked-ETag": etag,
        "Accept-Ranges": "bytes",
    }
    if blob.lfs:
        return redirect(
            f"{hub.storage}/cdn/{repository.name}/{blob.sha256}?Signature={hub.signature}",
            headers=known,
        )
    if blob.size and not repository.private and not repository.gated:
        kind = at["kind"] or "models/"
        return redirect(
            f"/api/resolve-cache/{kind}{at['name']}/{commit.id}/{quote(at['path'])}"
            f"?etag={quote(etag)}",
            307,
            known,
        )
    return content(blob.data, etag, known)


@endpoint(
    "GET", f"/api/resolve-cache/(?P<kind>models|datasets|spaces)/{NAME}/{REVISION}/(?P<path>.+)"
)
def resolve_cache(hub: Protocol, request: Request, at: At) -> Answer:
    commit = hub.open(request, at, files=True).resolve(at["revision"])
    blob = commit.file(at["path"])
    return content(blob.data, f'"{blob.etag}"', {"X-Repo-Commit": commit.id})


@endpoint("GET", f"/cdn/{REPO}/(?P<oid>[0-9a-f]{{64}})")
def cdn(hub: Protocol, request: Request, at: At) -> Answer:
    """A content by its signed address.

    No token is asked for, and nothing is known here of commits or git; the ETag is the storage's
    own.
    """
    repository = hub.repositories.get(at["kind"] + at["name"])
    if (
        request.query.get("Signature") != hub.signature
        or repository is None
        or at["oid"] not in repository.objects
    ):
        return Answer(
            403, {"Content-Type": "application/xml"}, b"<Error><Code>AccessDenied</Code></Error>"
        )
    data = repository.objects[at["oid"]]
    if at["oid"] not in hub.etags:
        hub.etags[at["oid"]] = md5_etag(data)
    return content(data, hub.etags[at["oid"]])


def content(data: bytes, etag: str, headers: Mapping[str, str] = NONE) -> Answer:
    """A file's content, of which a part may be asked for."""
    return Answer(
        200,
        {
            "Content-Type": "application/octet-stream",
            "Accept-Ranges": "bytes",
            "ETag": etag,
            **headers,
        },
        data,
        file=True,
    )
