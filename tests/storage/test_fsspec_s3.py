"""S3 as it is spoken: reading, listing and auditing a bucket of a server that stands in for it."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest
import s3fs

from ckpt_tools import api
from ckpt_tools.audit.sources import candidates
from ckpt_tools.cli.main import main
from tests.support.hub.policies import ROOT, contents
from tests.support.s3_server import s3_server

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

NORMAL = ROOT / "fixtures" / "normal"
POLICY = "s3://lab/runs/policy"


@pytest.fixture(scope="module")
def server() -> Iterator[dict[str, str]]:
    with s3_server() as environment:
        yield environment


@pytest.fixture
def bucket(server: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> Iterator[s3fs.S3FileSystem]:
    """The file system of a bucket `lab` that has a policy, a file of weights, and a pickle."""
    for name, text in server.items():
        monkeypatch.setenv(name, text)
    s3fs.S3FileSystem.clear_instance_cache()
    system = s3fs.S3FileSystem(use_listings_cache=False)
    if not system.exists("lab"):
        system.mkdir("lab")
        for path, data in contents(NORMAL).items():
            system.pipe_file(f"lab/runs/policy/{path}", data)
        system.pipe_file("lab/loose.safetensors", (NORMAL / "model.safetensors").read_bytes())
        system.pipe_file("lab/old/pytorch_model.bin", b"pickle")
        for key in ("runs/", "runs/policy/", "runs"):  # what some programs leave in a bucket
            system.call_s3("put_object", Bucket="lab", Key=key, Body=b"")
    yield system
    s3fs.S3FileSystem.clear_instance_cache()


@pytest.mark.usefixtures("bucket")
def test_a_checkpoint_in_a_bucket_is_shown_verified_and_compared(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert api.show(POLICY).tensors == api.show(NORMAL).tensors
    assert api.verify(POLICY).findings == api.verify(NORMAL).findings
    assert api.diff(POLICY, NORMAL).same
    assert api.show("s3://lab/loose.safetensors").tensors == api.show(NORMAL).tensors
    assert main(["verify", POLICY]) == 0
    assert main(["hash", POLICY]) == 2
    assert f"aws s3 cp --recursive {POLICY} policy" in capsys.readouterr().err


@pytest.mark.usefixtures("bucket")
def test_a_bucket_is_listed_with_what_tells_that_a_file_changed() -> None:
    loose, old, policy = candidates(["s3://lab"])
    assert [one.location for one in (loose, old, policy)] == [
        "s3://lab/loose.safetensors",
        "s3://lab/old",
        POLICY,
    ]
    assert "only pickles" in old.trouble
    assert (policy.owner, policy.name) == ("lab", "runs/policy")
    assert {one.path: one.size for one in policy.files} == {
        path: len(data) for path, data in contents(NORMAL).items()
    }
    (file,) = loose.files
    assert file.etag == next(one.etag for one in policy.files if one.path == "model.safetensors")
    assert len(file.etag) == 32
    assert file.modified_ns


def test_an_audit_of_a_bucket_looks_at_what_changed(
    bucket: s3fs.S3FileSystem, tmp_path: Path
) -> None:
    out = tmp_path / "audit.db"

    def run() -> tuple[int, int, int, int]:
        tally = api.audit(["s3://lab/runs", "s3://lab/new"], out=out, jobs=1)
        return tally.checked, tally.unchanged, tally.failed, tally.vanished

    bucket.pipe_file("lab/new/a/model.safetensors", (NORMAL / "model.safetensors").read_bytes())
    bucket.pipe_file("lab/new/b/model.safetensors", b"damaged")
    assert run() == (3, 0, 0, 0)
    bucket.pipe_file("lab/new/b/model.safetensors", b"other")
    bucket.rm("lab/new/a", recursive=True)
    assert run() == (1, 1, 0, 1)
    assert run() == (0, 2, 0, 0)
    bucket.rm("lab/new", recursive=True)


@pytest.mark.usefixtures("bucket")
@pytest.mark.parametrize(
    ("where", "environment", "words"),
    [
        ("s3://nobody-has-this", {}, "no such bucket, folder or file"),
        ("s3://lab/nothing/here", {}, "no such bucket, folder or file"),
        ("s3://lab/x", {"AWS_ACCESS_KEY_ID": ""}, "no valid credentials were found"),
        ("s3://lab/x", {"AWS_ENDPOINT_URL": "http://127.0.0.1:9"}, "cannot be read: Could not"),
    ],
)
def test_what_is_wrong_with_a_bucket_is_one_sentence(
    where: str,
    environment: dict[str, str],
    words: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    for name, text in environment.items():
        monkeypatch.setenv(name, text) if text else monkeypatch.delenv(name)
    s3fs.S3FileSystem.clear_instance_cache()
    assert main(["show", where]) == 2
    error = capsys.readouterr().err
    assert error.startswith(f"ckpt: {where}: ")
    assert words in error
    assert error.count("\n") == 1
    assert os.environ["AWS_SECRET_ACCESS_KEY"] not in error
