"""The real client reads from the test Hub: downloads, metadata, errors.

Every request is on record.
"""

from __future__ import annotations

import hashlib
import http.client
import threading
from pathlib import Path

import pytest
from huggingface_hub import HfApi, RepoFile
from huggingface_hub.errors import (
    EntryNotFoundError,
    GatedRepoError,
    HfHubHTTPError,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)
from huggingface_hub.utils import httpx

from tests.support.hub.asking import FILES, NO_TLS, REPO, SUM, TEXT, WEIGHTS, ask, cdn
from tests.support.hub.client import HF, run
from tests.support.hub.policies import contents
from tests.support.hub.server import HubServer


def anonymous(hub: HubServer) -> HfApi:
    return HfApi(endpoint=hub.endpoint, token=False)


# --- downloads ------------------------------------------------------------------------------------


def test_downloads_bring_the_bytes_of_their_revision(
    hub: HubServer, client: HfApi, tmp_path: Path
) -> None:
    first = hub.add_repo(REPO, FILES)
    hub.tag(REPO, "v1")
    hub.push(
        REPO, {"config.json": b"{}", "model.safetensors": WEIGHTS[::-1]}, delete=["notes/empty.txt"]
    )
    for revision in ("main", "v1", first):
        folder = client.snapshot_download(REPO, revision=revision, cache_dir=tmp_path / "all")
        assert (contents(folder), Path(folder).name) == (
            hub.files(REPO, revision),
            hub.commits(REPO, revision)[0].id,
        )
        for path, data in hub.files(REPO, revision).items():
            assert (
                Path(
                    client.hf_hub_download(
                        REPO, path, revision=revision, cache_dir=tmp_path / "one"
                    )
                ).read_bytes()
                == data
            )


def test_a_subprocess_downloads_with_nothing_but_its_environment(
    hub: HubServer, tmp_path: Path
) -> None:
    hub.add_repo(REPO, FILES, private=True)
    out = run(hub, tmp_path / "home", HF, "download", REPO, "--local-dir", tmp_path / "here")
    assert str(tmp_path / "here") in out
    assert {
        path: data
        for path, data in contents(tmp_path / "here").items()
        if not path.startswith(".cache/")
    } == FILES
    assert all(
        record.authorized == ("/cdn/" not in record.path)
        for record in hub.requests.of(path_contains=REPO)
    )


def test_a_download_asks_first_and_leaves_its_token_with_the_hub(
    hub: HubServer, client: HfApi
) -> None:
    """A small file of a public repository is a redirect and a cache away.

    An LFS file is elsewhere; the rest is where it is asked for.
    """
    sha = hub.add_repo(REPO, FILES)
    for path in ("config.json", "model.safetensors", "notes/empty.txt"):
        client.hf_hub_download(REPO, path)
    seen = [
        (
            record.method,
            record.path.split("?")[0],
            record.status,
            record.sent,
            record.host.split(":")[0],
            record.authorized,
        )
        for record in hub.requests
    ]
    cached, asked, here = (
        f"/api/resolve-cache/models/{REPO}/{sha}/config.json",
        f"/{REPO}/resolve/main",
        "127.0.0.1",
    )
    assert seen == [
        ("HEAD", f"{asked}/config.json", 307, 0, here, True),
        ("HEAD", cached, 200, 0, here, True),
        ("GET", cached, 200, len(TEXT), here, True),
        ("HEAD", f"{asked}/model.safetensors", 302, 0, here, True),
        ("GET", f"/cdn/{REPO}/{SUM}", 200, len(WEIGHTS), "localhost", False),
        ("HEAD", f"{asked}/notes/empty.txt", 200, 0, here, True),
    ]


def test_a_file_is_announced_with_its_commit_sum_and_size(hub: HubServer) -> None:
    sha = hub.add_repo(REPO, FILES, private=True)
    token = {"Authorization": f"Bearer {hub.token}"}
    large = ask(hub, f"/{REPO}/resolve/main/model.safetensors", "HEAD", **token)
    assert [
        large.headers[name] for name in ("X-Linked-ETag", "X-Linked-Size", "X-Repo-Commit")
    ] == [f'"{SUM}"', str(len(WEIGHTS)), sha]
    small = ask(hub, f"/{REPO}/resolve/{sha}/config.json", "HEAD", **token)
    oid = hashlib.sha1(b"blob %d\0%s" % (len(TEXT), TEXT), usedforsecurity=False).hexdigest()
    assert [
        small.headers[name] for name in ("ETag", "Content-Length", "X-Repo-Commit", "Accept-Ranges")
    ] == [f'"{oid}"', str(len(TEXT)), sha, "bytes"]
    signed = large.headers["Location"]
    assert ask(hub, signed, "HEAD").headers["Content-Length"] == str(len(WEIGHTS))
    assert ask(hub, signed.split("?")[0]).status_code == 403


def test_what_a_repository_holds_is_told(hub: HubServer, client: HfApi) -> None:
    sha = hub.add_repo(REPO, FILES)
    info = client.model_info(REPO, files_metadata=True)
    assert (info.id, info.sha, info.private, info.gated) == (REPO, sha, False, False)
    assert {file.rfilename: file.size for file in info.siblings or ()} == {
        path: len(data) for path, data in FILES.items()
    }
    (lfs,) = (file.lfs for file in info.siblings or () if file.lfs)
    assert (lfs.sha256, lfs.size) == (SUM, len(WEIGHTS))
    assert [file.size for file in client.model_info(REPO).siblings or ()] == [None] * 4
    assert client.list_repo_files(REPO, revision=sha) == sorted(FILES)
    assert [entry.path for entry in client.list_repo_tree(REPO)] == [
        "config.json",
        "model.safetensors",
        "notes",
    ]
    assert [entry.path for entry in client.list_repo_tree(REPO, "notes")] == [
        "notes/a b.txt",
        "notes/empty.txt",
    ]
    assert [
        entry.path for entry in client.get_paths_info(REPO, ["notes", "config.json", "nothing"])
    ] == ["notes", "config.json"]
    (weights,) = client.get_paths_info(REPO, "model.safetensors")
    assert isinstance(weights, RepoFile)
    assert weights.lfs == {"size": len(WEIGHTS), "sha256": SUM, "pointer_size": 130}


@pytest.mark.parametrize("hub", [{"page_size": 2}], indirect=True)
def test_a_tree_comes_in_pages(hub: HubServer, client: HfApi) -> None:
    hub.add_repo(REPO, FILES)
    assert client.list_repo_files(REPO) == sorted(FILES)
    assert [record.path.partition("cursor=")[2] for record in hub.requests] == ["", "2", "4"]


def test_a_dataset_is_a_repository_of_its_own(hub: HubServer, client: HfApi) -> None:
    hub.add_repo(REPO, FILES)
    client.create_repo(REPO, repo_type="dataset")
    client.upload_file(
        path_or_fileobj=b"data", path_in_repo="data.txt", repo_id=REPO, repo_type="dataset"
    )
    assert hub.files(f"datasets/{REPO}")["data.txt"] == b"data"
    assert (
        Path(client.hf_hub_download(REPO, "data.txt", repo_type="dataset")).read_bytes() == b"data"
    )
    assert client.dataset_info(REPO).sha == hub.commits(f"datasets/{REPO}")[0].id
    assert hub.files(REPO) == FILES


@pytest.mark.parametrize(
    ("asked", "status", "content_range", "expected"),
    [
        (None, 200, None, WEIGHTS),
        ("bytes=0-0", 206, "bytes 0-0/10240", WEIGHTS[:1]),
        ("bytes=7-1006", 206, "bytes 7-1006/10240", WEIGHTS[7:1007]),
        ("bytes=10000-", 206, "bytes 10000-10239/10240", WEIGHTS[10000:]),
        ("bytes=10000-99999", 206, "bytes 10000-10239/10240", WEIGHTS[10000:]),
        ("bytes=-5", 206, "bytes 10235-10239/10240", WEIGHTS[-5:]),
        ("bytes=-99999", 206, "bytes 0-10239/10240", WEIGHTS),
        ("bytes=10240-", 416, "bytes */10240", None),
        ("bytes=-0", 416, "bytes */10240", None),
        ("bytes=5-4", 200, None, WEIGHTS),
        ("bytes=0-1,4-5", 200, None, WEIGHTS),
        ("bytes=-", 200, None, WEIGHTS),
        ("lines=1-2", 200, None, WEIGHTS),
    ],
)
def test_a_range_is_exactly_what_it_says(
    hub: HubServer,
    asked: str | None,
    status: int,
    content_range: str | None,
    expected: bytes | None,
) -> None:
    hub.add_repo(REPO, {"model.safetensors": WEIGHTS, "weights.txt": WEIGHTS})
    headers = {"Range": asked} if asked else {}
    for where in (cdn(hub), ask(hub, f"/{REPO}/resolve/main/weights.txt").headers["Location"]):
        hub.requests.clear()
        answer = ask(hub, where, **headers)
        assert (answer.status_code, answer.headers.get("Content-Range")) == (status, content_range)
        assert expected is None or answer.content == expected
        (record,) = hub.requests
        assert (record.range, record.status, record.sent) == (asked, status, len(answer.content))


# --- refusals -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("asked", "error", "status"),
    [
        ("tester tester/nothing main config.json", RepositoryNotFoundError, 404),
        ("anyone tester/nothing main config.json", RepositoryNotFoundError, 401),
        ("anyone tester/private main config.json", RepositoryNotFoundError, 401),
        ("tester tester/gated main config.json", GatedRepoError, 403),
        ("anyone tester/gated main config.json", GatedRepoError, 401),
        ("tester tester/model nowhere config.json", RevisionNotFoundError, 404),
        (f"anyone tester/model {'0' * 40} config.json", RevisionNotFoundError, 404),
        ("tester tester/model main nothing.json", EntryNotFoundError, 404),
    ],
)
def test_a_refusal_is_the_clients_own_error(
    hub: HubServer, client: HfApi, asked: str, error: type[HfHubHTTPError], status: int
) -> None:
    hub.add_repo("tester/model", FILES)
    hub.add_repo("tester/private", FILES, private=True)
    hub.add_repo("tester/gated", FILES, gated=True)
    who, repo, revision, path = asked.split()
    with pytest.raises(error) as raised:
        (client if who == "tester" else anonymous(hub)).hf_hub_download(
            repo, path, revision=revision
        )
    assert raised.value.response.status_code == status


def test_who_sees_what(hub: HubServer, client: HfApi) -> None:
    """A gated repository may be looked at, a private one only by its own."""
    hub.add_repo("tester/private", FILES, private=True)
    hub.add_repo("tester/gated", FILES, gated=True)
    assert anonymous(hub).model_info("tester/gated").gated == "manual"
    assert client.model_info("tester/private").private
    for api, repo, error in (
        (anonymous(hub), "tester/private", RepositoryNotFoundError),
        (client, "tester/gated", GatedRepoError),
    ):
        with pytest.raises(error):
            api.snapshot_download(repo)
        with pytest.raises(error):
            api.auth_check(repo)
    with pytest.raises(RevisionNotFoundError):
        client.model_info("tester/private", revision="nowhere")
    assert contents(client.snapshot_download("tester/private")) == FILES


# --- the stand-in itself --------------------------------------------------------------------------


def test_a_connection_serves_many_requests_and_its_end_is_clean() -> None:
    before = {*threading.enumerate()}
    with HubServer() as hub:
        sha = hub.add_repo(REPO, FILES)
        connection = http.client.HTTPConnection(hub.endpoint.removeprefix("http://"))
        for method, path, body in (
            ("POST", "/api/nothing", b"ignored"),
            ("HEAD", f"/{REPO}/resolve/main/notes/empty.txt", None),
            ("GET", "/api/whoami-v2", None),
        ):
            connection.request(method, path, body)
            answer = connection.getresponse()
            answer.read()
        assert (
            answer.status,
            connection.sock is not None,
            len({*threading.enumerate()} - before),
        ) == (401, True, 2)
        assert [record.status for record in hub.requests[:2]] == [404, 200]
        assert [record.agent for record in hub.requests] == [""] * 3
        hub.requests.clear()
        assert (len(hub.requests), hub.commits(REPO)[0].id) == (0, sha)
    connection.close()
    assert {*threading.enumerate()} <= before


def test_the_same_files_make_another_commit(hub: HubServer) -> None:
    first = hub.add_repo(REPO, FILES)
    second = hub.push(REPO, FILES)
    assert first != second
    assert hub.files(REPO, first) == hub.files(REPO, second) == FILES
    with pytest.raises(ValueError, match="exists already"):
        hub.add_repo(REPO)


def test_a_body_without_a_length_is_refused(hub: HubServer) -> None:
    answer = httpx.put(
        f"{hub.endpoint}/storage/0", content=iter([b"x"]), trust_env=False, verify=NO_TLS
    )
    assert answer.status_code == 411


def test_its_own_failure_is_not_the_hubs() -> None:
    with pytest.raises(KeyError, match="name"), HubServer() as hub:  # noqa: PT012 - leaving the hub raises
        answer = httpx.post(
            f"{hub.endpoint}/api/repos/create",
            json={},
            headers={"Authorization": f"Bearer {hub.token}"},
            trust_env=False,
            verify=NO_TLS,
        )
        assert answer.status_code == 501


def test_an_environment_leaves_no_setting_of_the_callers(
    hub: HubServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in (
        "HF_HUB_CACHE",
        "HUGGINGFACE_HUB_CACHE",
        "TRANSFORMERS_OFFLINE",
        "https_proxy",
        "HF_TOKEN",
    ):
        monkeypatch.setenv(name, "/elsewhere")
    monkeypatch.setenv("KEPT", "kept")
    environment = hub.environment(tmp_path)
    assert "/elsewhere" not in environment.values()
    assert (environment["KEPT"], environment["HF_HOME"], environment["HF_TOKEN"]) == (
        "kept",
        str(tmp_path),
        hub.token,
    )
    assert "HF_TOKEN" not in hub.environment(tmp_path, token=None)
