"""What reading from the Hub costs: requests, bytes, and what the cache saves."""

from __future__ import annotations

import json
from functools import partial
from typing import TYPE_CHECKING

import jsonschema
import pytest

from ckpt_tools import api, errors
from ckpt_tools.api import _gate
from ckpt_tools.checkpoint.read import read
from ckpt_tools.report.formats import text
from ckpt_tools.report.json import diff as diff_json
from ckpt_tools.report.json import findings as findings_json
from ckpt_tools.report.pages import verdict as verdict_page
from ckpt_tools.report.pages.diff import diff_page
from ckpt_tools.report.pages.show import show_page
from ckpt_tools.storage.hub_api import repository
from ckpt_tools.storage.session import hub_session, remote_storage
from ckpt_tools.storage.storage import HEADER_GUESS, header_guess
from tests.support import forked
from tests.support.hub.policies import NAME, NORMAL, OTHER, REFLOW, REPO, ROOT, lead, refusal
from tests.support.hub.uploads import download, shards

if TYPE_CHECKING:
    from pathlib import Path

    from tests.support.hub.server import HubServer


pytestmark = pytest.mark.usefixtures("led")


# --- requests and bytes ---------------------------------------------------------------------------


def test_a_shard_takes_two_requests_and_little_more_than_its_header(
    hub: HubServer,
) -> None:
    """The index tells how long each header may be."""
    files = shards(12, 40)
    hub.add_repo(REPO, files)
    found = read(NAME)
    assert (len(found.weights), len(found.tensors)) == (12, 480)
    for name in files:
        if name.endswith(".safetensors"):
            (asked,) = hub.requests.of("GET", f"/{name}")
            assert asked.range is not None
            last = int(asked.range.partition("-")[2])
            length = 8 + int.from_bytes(files[name][:8], "little")
            assert length <= last + 1 <= length * 1.25 + 2048
    assert len(hub.requests.of(path_contains="/cdn/")) == 12


def test_a_diff_of_two_policies_takes_few_requests_and_at_most_300_kb(
    hub: HubServer,
) -> None:
    """The fixtures have the names of full-size checkpoints, 500 and 1,000 tensors."""
    hub.add_repo(REPO, NORMAL)
    hub.add_repo(OTHER, REFLOW)
    found = api.diff(NAME, f"hf://{OTHER}")
    assert found.transferred is not None
    for repo, files in ((REPO, NORMAL), (OTHER, REFLOW)):
        assert len(hub.requests.of(path_contains=f"/api/models/{repo}/revision/")) == 1
        for path in files:
            asked = [
                record
                for record in hub.requests
                if f"{repo}/" in record.path and f"/{path}" in record.path.partition("?")[0]
            ]
            assert len(asked) <= 2, path
        assert len(hub.requests.of(path_contains=f"/cdn/{repo}/")) <= 3
    assert sum(record.sent for record in hub.requests) <= 300_000
    assert not hub.requests.of("HEAD")
    assert not hub.requests.of(path_contains="README.md")
    assert found.transferred.requests == len(hub.requests)
    assert found.transferred.received == sum(record.sent for record in hub.requests)
    assert found.transferred.total == sum(map(len, (*NORMAL.values(), *REFLOW.values())))


def test_pages_and_json_report_requests_and_bytes(hub: HubServer) -> None:
    hub.add_repo(REPO, NORMAL)
    hub.add_repo(OTHER, REFLOW)
    shown, compared, verified, gated = (
        api.show(NAME),
        api.diff(NAME, f"hf://{OTHER}"),
        api.verify(NAME),
        _gate.gate(NAME),
    )
    for page, schema, document in (
        (show_page(shown), "show", diff_json.document(shown)),
        (diff_page(compared), "diff", diff_json.document(compared)),
        (verdict_page.page(verified), "findings", findings_json.document(verified)),
        (verdict_page.page(gated), "verdict", findings_json.document(gated)),
    ):
        jsonschema.validate(
            document, json.loads((ROOT / "schemas" / f"{schema}.schema.json").read_bytes())
        )
        took = document["transferred"]
        assert isinstance(took, dict)
        assert f"from the Hub in {took['requests']} requests" in text.render(page)
    assert "transferred" not in diff_json.document(api.show(str(ROOT / "fixtures" / "normal")))


def test_the_command_line_reads_from_the_hub(hub: HubServer, tmp_path: Path) -> None:
    hub.add_repo(REPO, NORMAL)
    hub.add_repo(OTHER, REFLOW)
    ckpt = partial(forked.ckpt, env=hub.environment(tmp_path / "home"))
    done = ckpt("diff", NAME, OTHER)
    assert (done.returncode, done.stderr) == (1, "")
    assert "different: 500 tensors only in B" in done.stdout
    done = ckpt("spec", "write", NAME)
    assert (done.returncode, len(json.loads(done.stdout)["tensors"])) == (0, 500)
    done = ckpt("sanitize", str(ROOT / "fixtures" / "reflow"), "--reference", NAME, "--dry-run")
    assert "8 steps planned, nothing written" in done.stdout
    done = ckpt("show", "hf://tester/none")
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (2, "", 1)


def test_a_file_common_to_both_sides_is_fetched_once(hub: HubServer) -> None:
    hub.add_repo(REPO, NORMAL)
    hub.add_repo(OTHER, NORMAL)
    assert api.diff(NAME, f"hf://{OTHER}").diff.same
    assert [record.path for record in hub.requests.of(path_contains=OTHER)] == [
        f"/api/models/{OTHER}/revision/main?blobs=true"
    ]


def test_a_header_longer_than_the_guess_takes_one_more_request(hub: HubServer) -> None:
    hub.add_repo(REPO, REFLOW)
    read(NAME)
    length = 8 + int.from_bytes(REFLOW["model.safetensors"][:8], "little")
    (asked,) = hub.requests.of(path_contains="/model.safetensors")
    ranges = [
        record.range
        for record in hub.requests.of(path_contains="/cdn/")
        if record.range and record.sent > 10_000
    ]
    assert asked.range == f"bytes=0-{HEADER_GUESS - 1}"
    assert ranges == [f"bytes=0-{HEADER_GUESS - 1}", f"bytes={HEADER_GUESS}-{length - 1}"]


@pytest.mark.parametrize(
    ("size", "guess"),
    [(0, 0), (5000, 5000), (906_712_520, 110_682), (3_400_000_000, 415_039), (10**11, 1 << 20)],
)
def test_more_of_a_larger_file_is_fetched_for_its_header(size: int, guess: int) -> None:
    assert header_guess(size) == guess


def test_the_token_is_sent_to_the_hub_only(hub: HubServer) -> None:
    hub.add_repo(REPO, REFLOW, private=True)
    read(NAME)
    assert {record.authorized for record in hub.requests.of(path_contains="/cdn/")} == {False}
    assert {record.authorized for record in hub.requests if "/cdn/" not in record.path} == {True}


def test_a_session_reads_one_commit_despite_a_push(hub: HubServer) -> None:
    first = hub.add_repo(REPO, NORMAL)
    with hub_session():
        storage = remote_storage(NAME)
        hub.push(REPO, REFLOW)
        found = read(NAME)
    assert (found.root, len(found.tensors), storage.root) == (
        f"{NAME}@{first}",
        500,
        f"{NAME}@{first}",
    )
    assert len(read(NAME).tensors) == 1000


# --- the cache, and being offline -----------------------------------------------------------------


def test_cached_files_are_not_fetched(hub: HubServer) -> None:
    hub.add_repo(REPO, NORMAL)
    download(hub)
    hub.requests.clear()
    found = api.show(NAME)
    assert len(hub.requests) == 1
    assert found.transferred is not None
    assert found.transferred.requests == 1
    hub.push(REPO, {"config.json": b"{}"})
    hub.requests.clear()
    read(NAME)
    assert {record.path.partition("?")[0].rpartition("/")[2] for record in hub.requests} == {
        "main",
        "config.json",
    }


def test_offline_reads_a_cached_snapshot_and_rejects_others(
    hub: HubServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    commit = hub.add_repo(REPO, NORMAL)
    expected = read(NAME)
    download(hub)
    hub.requests.clear()
    lead(monkeypatch, HF_HUB_OFFLINE=True)
    assert read(NAME) == expected
    assert read(f"{REPO}@{commit}").weights == expected.weights
    assert {file.path: (file.size, bool(file.content)) for file in repository(NAME).files} == {
        path: (len(data), True) for path, data in NORMAL.items()
    }
    assert not hub.requests
    line = refusal(errors.Unreachable, lambda: read("hf://tester/none@v2"))
    words = "offline mode is enabled (HF_HUB_OFFLINE is set), and the cache has no such revision"
    advice = "unset HF_HUB_OFFLINE, or run this while online"
    assert line == f"hf://tester/none@v2: {words}; {advice}: hf download tester/none --revision v2"
    assert "tester/none: no such file or directory, and offline mode is enabled" in refusal(
        errors.PathNotFound, lambda: read("tester/none")
    )


def test_offline_reports_files_missing_from_the_cache(
    hub: HubServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    hub.add_repo(REPO, shards(2, 3))
    download(hub, ignore="*-00002-*")
    lead(monkeypatch, HF_HUB_OFFLINE=True)
    assert "model-00002-of-00002.safetensors" in refusal(errors.ShardMissing, lambda: read(NAME))
    line = refusal(errors.PathNotFound, lambda: read(f"{NAME}/model-00002-of-00002.safetensors"))
    assert "is not in the cache, and offline mode is enabled (HF_HUB_OFFLINE is set)" in line
