"""What the Hub answers who creates and uploads.

Repositories, branches, tags, LFS contents, commits.
"""

from __future__ import annotations

import base64
import secrets
from typing import Any

from tests.support.hub.messages import Answer, Refused, Request, answer_json, parse
from tests.support.hub.protocol import API, REPO, REVISION, USER, At, Endpoints, Protocol, checked
from tests.support.hub.repository import (
    GITATTRIBUTES,
    PULL_REQUESTS,
    Blob,
    Repository,
    Upload,
    is_lfs,
    md5_etag,
)

ENDPOINTS = endpoint = Endpoints()

# --- repositories, branches, tags -----------------------------------------------------------------


@endpoint("POST", "/api/repos/create")
def create(hub: Protocol, request: Request, _at: At) -> Answer:
    """A new repository has one commit, which says what is LFS."""
    checked(request)
    asked = request.json
    prefix = {"dataset": "datasets/", "space": "spaces/"}.get(asked.get("type"), "")
    name = f"{prefix}{asked.get('organization') or USER}/{asked['name']}"
    said = {"url": f"{hub.endpoint}/{name}", "name": name.removeprefix(prefix), "id": name}
    if name in hub.repositories:
        return answer_json({"error": "You already created this model repo", **said}, 409)
    repository = Repository(
        name, private=bool(asked.get("private")) or asked.get("visibility") == "private"
    )
    repository.commit({".gitattributes": Blob(GITATTRIBUTES, lfs=False)}, "initial commit")
    hub.repositories[name] = repository
    return answer_json(said)


@endpoint("POST", f"{API}/branch/{REVISION}")
def branch(hub: Protocol, request: Request, at: At) -> Answer:
    repository = hub.open(request, at, write=True)
    if at["revision"] in repository.branches:
        raise Refused(409, f"Reference already exists: {at['revision']}")
    repository.branches[at["revision"]] = repository.resolve(
        (request.json if request.body else {}).get("startingPoint", "main")
    ).id
    return answer_json({})


@endpoint("POST", f"{API}/tag/{REVISION}")
def tag(hub: Protocol, request: Request, at: At) -> Answer:
    repository, name = hub.open(request, at, write=True), request.json["tag"]
    if name in repository.tags:
        raise Refused(409, f"Tag reference exists already: {name}")
    repository.tags[name] = repository.resolve(at["revision"]).id
    return answer_json({})


# --- contents -------------------------------------------------------------------------------------


@endpoint("POST", f"{API}/preupload/{REVISION}")
def preupload(hub: Protocol, request: Request, at: At) -> Answer:
    """How each file is to come, and what is there under its name."""
    repository = hub.open(request, at, write=True)
    files = repository.head(at["revision"]).files
    answers: list[dict[str, Any]] = []
    for file in request.json["files"]:
        mode = "lfs" if is_lfs(file["path"], file["size"], hub.limits.lfs_threshold) else "regular"
        there = {"oid": files[file["path"]].etag} if file["path"] in files else {}
        answers.append({"path": file["path"], "uploadMode": mode, "shouldIgnore": False, **there})
    return answer_json({"files": answers})


@endpoint("POST", rf"/{REPO}\.git/info/lfs/objects/batch")
def lfs_batch(hub: Protocol, request: Request, at: At) -> Answer:
    """Where to put each content; nowhere, if it is here already."""
    repository, asked = hub.open(request, at, write=True), request.json
    if asked.get("operation") != "upload" or asked.get("hash_algo", "sha256") != "sha256":
        raise Refused(400, "The stand-in knows no LFS operation but upload, no hash but sha256")
    part_size = (
        hub.limits.part_size
        if "multipart" in asked.get("transfers", ())
        else max((wanted["size"] for wanted in asked["objects"]), default=0)
    )
    objects: list[dict[str, Any]] = []
    for wanted in asked["objects"]:
        known = {"oid": wanted["oid"], "size": wanted["size"], "authenticated": True}
        objects.append(
            known
            | (
                {}
                if wanted["oid"] in repository.objects
                else actions(hub, Upload(repository, wanted["oid"], wanted["size"]), part_size)
            )
        )
    multipart = any(wanted["size"] > part_size for wanted in asked["objects"])
    return answer_json({"transfer": "multipart" if multipart else "basic", "objects": objects})


def actions(hub: Protocol, upload: Upload, part_size: int) -> dict[str, Any]:
    """How to upload: in one piece, or in parts and a word when they are complete.

    Then have it verified.
    """
    ticket = secrets.token_hex(8)
    hub.uploads[ticket] = upload
    where = f"{hub.storage}/storage/{ticket}"
    put: dict[str, Any] = {"href": where, "header": {}}
    if upload.size > part_size:
        parts = {
            f"{number:05}": f"{where}/{number}"
            for number in range(1, -(-upload.size // part_size) + 1)
        }
        put = {
            "href": f"{hub.endpoint}/api/complete_multipart/{ticket}",
            "header": {"chunk_size": str(part_size), **parts},
        }
    return {
        "actions": {
            "upload": put,
            "verify": {
                "href": f"{hub.endpoint}/{upload.repository.name}.git/info/lfs/objects/verify",
                "header": {},
            },
        }
    }


@endpoint("PUT", "/storage/(?P<ticket>[0-9a-f]+)(/(?P<part>[0-9]+))?")
def put(hub: Protocol, request: Request, at: At) -> Answer:
    upload = the_upload(hub, at)
    if at["part"]:
        upload.parts[int(at["part"])] = request.body
    else:
        upload.finish(request.body)
    return Answer(200, {"ETag": md5_etag(request.body)})


def the_upload(hub: Protocol, at: At) -> Upload:
    if at["ticket"] not in hub.uploads:
        raise Refused(403, "AccessDenied")
    return hub.uploads[at["ticket"]]


@endpoint("POST", "/api/complete_multipart/(?P<ticket>[0-9a-f]+)")
def complete(hub: Protocol, request: Request, at: At) -> Answer:
    """The parts are put together if they are those that came, in order."""
    upload, named = the_upload(hub, at), request.json["parts"]
    came = [
        {"partNumber": number, "etag": md5_etag(upload.parts[number])}
        for number in sorted(upload.parts)
    ]
    if named != came:
        raise Refused(400, "InvalidPart: the parts that are named are not those that came")
    upload.finish(b"".join(upload.parts[number] for number in sorted(upload.parts)))
    return answer_json({"success": True})


@endpoint("POST", rf"/{REPO}\.git/info/lfs/objects/verify")
def lfs_verify(hub: Protocol, request: Request, at: At) -> Answer:
    repository, asked = hub.open(request, at, write=True), request.json
    if len(repository.objects.get(asked["oid"], b"")) != asked["size"]:
        raise Refused(422, f"There is no object {asked['oid']} of {asked['size']} bytes")
    return answer_json({})


# --- commits --------------------------------------------------------------------------------------


@endpoint("POST", f"{API}/commit/{REVISION}")
def commit(hub: Protocol, request: Request, at: At) -> Answer:
    """All operations of a commit, or none; on the branch, or on a pull request to it."""
    repository = hub.open(request, at, write=True)
    parent = repository.head(at["revision"])
    lines = [parse(line) for line in request.body.splitlines()]
    header: dict[str, str] = next((line["value"] for line in lines if line["key"] == "header"), {})
    if not parent.id.startswith(header.get("parentCommit") or ""):
        raise Refused(412, "A commit has happened since. Please refresh and try again.")
    if not header.get("summary"):
        raise Refused(400, "A commit needs a summary")
    files = dict(parent.files)
    for line in lines:
        apply(hub, repository, files, line["key"], line["value"])
    number = repository.propose(parent) if request.query.get("create_pr") else 0
    proposal = (
        {"pullRequestUrl": f"{hub.endpoint}/{repository.name}/discussions/{number}"}
        if number
        else {}
    )
    branch = f"{PULL_REQUESTS}{number}" if number else at["revision"]
    done = repository.commit(
        files, header["summary"], description=header.get("description", ""), branch=branch
    )
    said = {
        "success": True,
        "commitOid": done.id,
        "commitUrl": f"{hub.endpoint}/{repository.name}/commit/{done.id}",
        "hookOutput": "",
    }
    return answer_json(said | proposal)


def apply(
    hub: Protocol, repository: Repository, files: dict[str, Blob], key: str, value: dict[str, Any]
) -> None:
    """Do one operation of a commit to the files."""
    if key == "file":
        files[value["path"]] = Blob(
            small(base64.b64decode(value["content"]), value["path"], hub.limits.lfs_threshold),
            lfs=False,
        )
    elif key == "lfsFile":
        files[value["path"]] = Blob(stored(repository, value), lfs=True)
    elif key in {"deletedFile", "deletedFolder"}:
        gone = [
            path
            for path in files
            if path == value["path"]
            or (key == "deletedFolder" and path.startswith(value["path"].rstrip("/") + "/"))
        ]
        if not gone:
            raise Refused(404, "A file with this name doesn't exist", "EntryNotFound")
        for path in gone:
            del files[path]
    elif key != "header":
        raise Refused(400, f"The stand-in knows no operation {key}")


def small(data: bytes, path: str, threshold: int) -> bytes:
    """A regular file's content; what is as large as an LFS file must come as one."""
    if len(data) >= threshold:
        raise Refused(
            400,
            (
                f"Your push was rejected because it contains files larger than {threshold}"
                f" bytes: {path}"
            ),
        )
    return data


def stored(repository: Repository, value: dict[str, Any]) -> bytes:
    """The LFS content that a commit refers to."""
    data = repository.objects.get(value["oid"])
    if data is None or len(data) != value.get("size", len(data)):
        raise Refused(400, f"LFS pointer pointed to a file that does not exist: {value['path']}")
    return data
