"""Buckets on the Hub, read with the Hub's own file system for fsspec."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import pytest

from ckpt_tools import api, errors
from ckpt_tools.audit.sources import candidates, remember_listing
from ckpt_tools.checkpoint.read import read
from ckpt_tools.storage.session import hub_session
from tests.support.hub.policies import NORMAL, ROOT, refusal

if TYPE_CHECKING:
    from tests.support.hub.server import HubServer

pytestmark = pytest.mark.usefixtures("led")

STORE = "hf://buckets/lab/store"


@pytest.fixture
def bucket(hub: HubServer) -> HubServer:
    hub.add_bucket("lab/store", {
        **{f"runs/a/{path}": data for path, data in NORMAL.items()},
        "runs/b/model.safetensors": NORMAL["model.safetensors"],
        "notes.txt": b"1",
    })  # fmt: skip
    return hub


@pytest.mark.usefixtures("bucket")
def test_a_checkpoint_in_a_bucket_is_read() -> None:
    here = str(ROOT / "fixtures" / "normal")
    assert api.show(f"{STORE}/runs/a").tensors == api.show(here).tensors
    assert api.verify(f"{STORE}/runs/a").findings == api.verify(here).findings
    assert len(read(f"{STORE}/runs/b/model.safetensors").tensors) == 500


def test_an_audit_lists_a_bucket_by_folders_and_reads_few_ranges(bucket: HubServer) -> None:
    a, b = candidates([STORE])
    assert [one.location for one in (a, b)] == [f"{STORE}/runs/a", f"{STORE}/runs/b"]
    assert (a.owner, a.name) == ("lab", "runs/a")
    copied = {one.path: one for one in a.files}["model.safetensors"]
    (weights,) = b.files
    assert len(weights.xet) == 64
    assert weights.xet == copied.xet
    assert weights.modified_ns
    bucket.requests.clear()
    with hub_session():
        remember_listing(b.address, b.files)
        assert api.verify(b.address).checkpoint
    assert len(bucket.requests.of(path_contains="/bucket-cdn/")) <= 2


@pytest.mark.usefixtures("bucket")
def test_what_is_wrong_with_a_bucket_is_said() -> None:
    for where in ("hf://buckets/lab/none", f"{STORE}/none"):
        assert "no such bucket, folder or file" in refusal(
            errors.PathNotFound, partial(read, where)
        )
        (found,) = candidates([where])
        assert "no such bucket" in found.trouble
    line = refusal(errors.RemoteNotSupported, lambda: api.manifest(f"{STORE}/runs/a"))
    assert f"hf buckets sync {STORE}/runs/a a" in line
