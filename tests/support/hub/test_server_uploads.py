"""The real client uploads to the test Hub: commits, LFS, branches, tags and tokens."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import pytest
from huggingface_hub import CommitOperationAdd, CommitOperationDelete, HfApi
from huggingface_hub.errors import (
    BadRequestError,
    EntryNotFoundError,
    HfHubHTTPError,
)

from tests.support.hub.asking import FILES, REPO, SUM, WEIGHTS, ask
from tests.support.hub.client import HF, run, write
from tests.support.hub.policies import contents

if TYPE_CHECKING:
    from pathlib import Path

    from tests.support.hub.server import HubServer


def test_hf_upload_brings_every_byte_and_nothing_twice(hub: HubServer, tmp_path: Path) -> None:
    folder = write(tmp_path / "folder", FILES | {"README.md": b"---\nlicense: mit\n---\n# hello\n"})
    out = run(hub, tmp_path / "home", HF, "upload", REPO, folder)
    assert {
        path: data for path, data in hub.files(REPO).items() if path != ".gitattributes"
    } == contents(folder)
    latest, first = hub.commits(REPO)
    assert f"/{REPO}/commit/{latest.id}" in out
    assert (latest.parent, first.title, list(first.files)) == (
        first.id,
        "initial commit",
        [".gitattributes"],
    )
    assert [record.received for record in hub.requests.of("PUT")] == [len(WEIGHTS)]
    assert len(hub.requests.of("POST", "/verify")) == 1

    hub.requests.clear()
    run(hub, tmp_path / "home", HF, "upload", REPO, folder)
    assert len(hub.requests.of("POST", "/objects/batch")) == 1
    assert hub.requests.of("PUT") == hub.requests.of("POST", "/commit/") == []
    assert hub.commits(REPO) == [latest, first]


LEROBOT = """
from lerobot.utils.hub import HubMixin

class Thing(HubMixin):
    def _save_pretrained(self, folder):
        (folder / "config.json").write_text("{}")
        (folder / "model.safetensors").write_bytes(b"weights")

print(Thing().push_to_hub("tester/thing", private=True))
"""


@pytest.mark.lerobot
def test_lerobot_pushes_what_it_saves(hub: HubServer, tmp_path: Path) -> None:
    assert hub.endpoint in run(hub, tmp_path, sys.executable, "-c", LEROBOT)
    assert (
        hub.files("tester/thing").items()
        >= {"config.json": b"{}", "model.safetensors": b"weights"}.items()
    )
    assert ask(hub, "/api/models/tester/thing").status_code == 401


@pytest.mark.filterwarnings("ignore:Use 'content=:DeprecationWarning")
@pytest.mark.parametrize("hub", [{"part_size": 4000}], indirect=True)
def test_a_large_file_comes_in_parts(hub: HubServer, client: HfApi, tmp_path: Path) -> None:
    client.create_repo(REPO)
    client.upload_folder(repo_id=REPO, folder_path=write(tmp_path, FILES))
    assert [record.received for record in hub.requests.of("PUT")] == [
        4000,
        4000,
        len(WEIGHTS) - 8000,
    ]
    assert hub.files(REPO)["model.safetensors"] == WEIGHTS


@pytest.mark.filterwarnings("ignore:Use 'content=:DeprecationWarning")
@pytest.mark.parametrize("hub", [{"lfs_threshold": 100}], indirect=True)
def test_a_file_is_lfs_by_suffix_or_size(hub: HubServer, client: HfApi, tmp_path: Path) -> None:
    client.create_repo(REPO)
    client.upload_folder(
        repo_id=REPO,
        folder_path=write(
            tmp_path,
            {"small.txt": b"a" * 99, "large.txt": b"a" * 100, "small.pt": b"a", "empty.pt": b""},
        ),
    )
    kept = {path: blob.lfs for path, blob in hub.commits(REPO)[0].files.items()}
    assert kept == {
        ".gitattributes": False,
        "small.txt": False,
        "large.txt": True,
        "small.pt": True,
        "empty.pt": False,
    }


@pytest.mark.filterwarnings("ignore:Use 'content=:DeprecationWarning")
@pytest.mark.parametrize("now", [WEIGHTS[::-1], WEIGHTS[:-1]], ids=["bytes", "size"])
def test_a_corrupt_lfs_upload_is_refused(
    hub: HubServer, client: HfApi, tmp_path: Path, now: bytes
) -> None:
    hub.add_repo(REPO)
    (tmp_path / "model.safetensors").write_bytes(WEIGHTS)
    operation = CommitOperationAdd("model.safetensors", tmp_path / "model.safetensors")
    assert operation.upload_info.sha256.hex() == SUM
    (tmp_path / "model.safetensors").write_bytes(now)
    with pytest.raises(RuntimeError, match="Error while uploading") as raised:
        client.create_commit(REPO, [operation], commit_message="corrupt")
    assert isinstance(raised.value.__cause__, BadRequestError)
    assert len(hub.commits(REPO)) == 1


def test_a_commit_needs_its_lfs_contents(hub: HubServer, client: HfApi) -> None:
    hub.add_repo(REPO)
    operation = CommitOperationAdd("model.safetensors", WEIGHTS)
    operation._upload_mode, operation._is_uploaded, operation._should_ignore = "lfs", True, False
    with pytest.raises(BadRequestError, match="LFS pointer pointed to a file that does not exist"):
        client.create_commit(REPO, [operation], commit_message="hollow")
    assert hub.files(REPO) == {}


def test_a_commit_adds_deletes_and_knows_its_parent(hub: HubServer, client: HfApi) -> None:
    first = hub.add_repo(REPO, FILES)
    deleted = [CommitOperationDelete("notes/"), CommitOperationDelete("config.json")]
    done = client.create_commit(
        REPO,
        [*deleted, CommitOperationAdd("new.txt", b"new")],
        commit_message="change",
        commit_description="why",
        parent_commit=first,
    )
    assert hub.files(REPO) == {"new.txt": b"new", "model.safetensors": WEIGHTS}
    assert (hub.files(REPO, first), hub.commits(REPO)[0].id, hub.commits(REPO)[0].description) == (
        FILES,
        done.oid,
        "why",
    )
    with pytest.raises(HfHubHTTPError, match="412"):
        client.create_commit(
            REPO,
            [CommitOperationAdd("late.txt", b"late")],
            commit_message="late",
            parent_commit=first,
        )
    with pytest.raises(EntryNotFoundError):
        client.create_commit(REPO, [CommitOperationDelete("never.txt")], commit_message="gone")


def test_branches_and_tags_are_made_and_read(hub: HubServer, client: HfApi) -> None:
    first = hub.add_repo(REPO, FILES)
    client.create_tag(REPO, tag="v1")
    client.create_branch(REPO, branch="side/track")
    client.create_branch(REPO, branch="side/track", exist_ok=True)
    client.upload_file(
        path_or_fileobj=b"side", path_in_repo="side.txt", repo_id=REPO, revision="side/track"
    )
    second = hub.push(REPO, {"config.json": b"{}"}, delete=["notes/empty.txt"])
    assert [
        client.model_info(REPO, revision=name).sha for name in ("main", "v1", first[:7], second)
    ] == [second, first, first, second]
    refs = client.list_repo_refs(REPO)
    assert {ref.name: ref.target_commit for ref in refs.branches} == {
        "main": second,
        "side/track": hub.commits(REPO, "side/track")[0].id,
    }
    assert [(ref.name, ref.target_commit) for ref in refs.tags] == [("v1", first)]
    assert [commit.commit_id for commit in client.list_repo_commits(REPO)] == [second, first]
    assert "side.txt" in hub.files(REPO, "side/track")
    assert hub.files(REPO) == {
        "config.json": b"{}",
        "model.safetensors": WEIGHTS,
        "notes/a b.txt": b"hello",
    }


@pytest.mark.parametrize("token", [False, "hf_someone_elses"], ids=["none", "wrong"])
def test_writing_needs_the_token(hub: HubServer, client: HfApi, token: bool | str) -> None:
    hub.add_repo(REPO)
    other = HfApi(endpoint=hub.endpoint, token=token)
    for write_something in (
        lambda: other.create_repo("tester/other"),
        lambda: other.create_tag(REPO, tag="v1"),
        lambda: other.upload_file(path_or_fileobj=b"x", path_in_repo="x", repo_id=REPO),
    ):
        with pytest.raises(HfHubHTTPError) as raised:
            write_something()
        assert raised.value.response.status_code == 401
    assert len(hub.commits(REPO)) == 1
    assert client.whoami()["name"] == "tester"
