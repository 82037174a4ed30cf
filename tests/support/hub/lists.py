"""What the Hub answers who asks for many: the models of an owner, a collection, a bucket."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl, quote, urlencode

from tests.support.hub.messages import Answer, Refused, Request, answer_json
from tests.support.hub.protocol import At, Endpoints, Protocol, signed_in

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tests.support.hub.repository import Repository

ENDPOINTS = endpoint = Endpoints()
WHEN = "2024-01-01T00:00:00.000Z"


@endpoint("GET", "/api/models")
def models(hub: Protocol, request: Request, _at: At) -> Answer:
    """Page by page; what is asked for with `expand` and nothing else, besides the names."""
    known = signed_in(request)
    asked = parse_qsl(request.target.partition("?")[2])
    expanded = [value for name, value in asked if name == "expand"]
    author = request.query.get("author")
    found = [
        summary(hub.repositories[name], expanded)
        for name in sorted(hub.repositories)
        if "/" not in name.partition("/")[2]
        and (author is None or name.startswith(f"{author}/"))
        and (known or not hub.repositories[name].private)
    ]
    return paged(hub, request, found)


def paged(hub: Protocol, request: Request, found: Sequence[dict[str, Any]]) -> Answer:
    """A page of a list, with the address of the next one."""
    size = min(int(request.query.get("limit") or hub.limits.page_size), hub.limits.page_size)
    start = int(request.query.get("cursor") or 0)
    headers = {}
    if start + size < len(found):
        query = [
            (name, value)
            for name, value in parse_qsl(request.target.partition("?")[2])
            if name != "cursor"
        ]
        following = urlencode([*query, ("cursor", str(start + size))])
        headers["Link"] = f'<{hub.endpoint}{request.path}?{following}>; rel="next"'
    return answer_json([*found[start : start + size]], headers=headers)


def summary(repository: Repository, expanded: Sequence[str]) -> dict[str, Any]:
    """What a list says of a model."""
    commit = repository.resolve("main")
    every: dict[str, Any] = {
        "sha": commit.id,
        "lastModified": commit.date,
        "siblings": [{"rfilename": path} for path in commit.files],
        "gated": "manual" if repository.gated else False,
        "disabled": False,
        "private": repository.private,
        "baseModels": {"relation": "finetune", "models": [{"id": one} for one in repository.bases]},
    }
    names = {"_id": repository.name, "id": repository.name, "modelId": repository.name}
    return names | {name: every[name] for name in expanded if name in every}


@endpoint("GET", "/api/collections/(?P<slug>[^/]+/[^/]+)")
def collection(hub: Protocol, _request: Request, at: At) -> Answer:
    if at["slug"] not in hub.collections:
        raise Refused(404, "Collection not found")
    items = [
        {"_id": f"{position:024x}", "id": name, "type": kind, "position": position}
        for position, (kind, name) in enumerate(hub.collections[at["slug"]])
    ]
    return answer_json({
        "slug": at["slug"], "title": "A collection", "description": "", "gating": False,
        "owner": {"name": at["slug"].partition("/")[0], "type": "org"}, "items": items,
        "lastUpdated": "2024-01-01T00:00:00.000Z", "private": False, "theme": "blue", "upvotes": 0,
        "position": 0,
    })  # fmt: skip


# --- buckets --------------------------------------------------------------------------------------


@endpoint("GET", "/api/buckets/(?P<name>[^/]+/[^/]+)")
def bucket_info(hub: Protocol, _request: Request, at: At) -> Answer:
    files = bucket_of(hub, at)
    size = sum(map(len, files.values()))
    return answer_json({
        "id": at["name"], "private": False, "createdAt": WHEN, "size": size,
        "totalFiles": len(files), "region": "us-east-1",
    })  # fmt: skip


@endpoint("GET", "/api/buckets/(?P<name>[^/]+/[^/]+)/tree(/(?P<path>.+))?")
def bucket_tree(hub: Protocol, request: Request, at: At) -> Answer:
    """All files whose path starts with the prefix if `recursive`, else what is in that folder."""
    files = bucket_of(hub, at)
    if request.query.get("recursive", "").lower() in {"true", "1"}:
        return paged(hub, request, [
            bucket_entry(path, data) for path, data in sorted(files.items())
            if path.startswith(at["path"])
        ])  # fmt: skip
    folder = f"{at['path'].strip('/')}/".lstrip("/")
    found = {}
    for path, data in sorted(files.items()):
        name, slash, _ = path.removeprefix(folder).partition("/")
        if path.startswith(folder):
            full = f"{folder}{name}"
            entry = {"type": "directory", "path": full, "uploadedAt": WHEN}
            found[full] = entry if slash else bucket_entry(full, data)
    return paged(hub, request, [*found.values()])


def bucket_entry(path: str, data: bytes) -> dict[str, Any]:
    xet = hashlib.sha256(b"xet" + data).hexdigest()
    return {
        "type": "file", "path": path, "size": len(data), "xetHash": xet, "mtime": WHEN,
        "uploadedAt": WHEN,
    }  # fmt: skip


@endpoint("GET", "/buckets/(?P<name>[^/]+/[^/]+)/resolve/(?P<path>.+)")
def bucket_file(hub: Protocol, _request: Request, at: At) -> Answer:
    files = bucket_of(hub, at)
    if at["path"] not in files:
        raise Refused(404, "Entry not found", "EntryNotFound")
    where = f"{hub.storage}/bucket-cdn/{at['name']}/{quote(at['path'], safe='')}"
    return Answer(302, {"Location": where}, b"")


@endpoint("GET", "/bucket-cdn/(?P<name>[^/]+/[^/]+)/(?P<path>.+)")
def bucket_content(hub: Protocol, _request: Request, at: At) -> Answer:
    headers = {"Content-Type": "application/octet-stream", "Accept-Ranges": "bytes"}
    return Answer(200, headers, bucket_of(hub, at)[at["path"]], file=True)


def bucket_of(hub: Protocol, at: At) -> dict[str, bytes]:
    if at["name"] not in hub.buckets:
        raise Refused(404, "Bucket not found", "RepoNotFound")
    return hub.buckets[at["name"]]
