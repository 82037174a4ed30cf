"""The Hub as a source of an audit: what is listed, how many requests it takes, and quotas."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from ckpt_tools.api._verify import verify
from ckpt_tools.audit.sources import candidates, remember_listing
from ckpt_tools.storage import hub_client
from ckpt_tools.storage.session import hub_session
from tests.support.hub.policies import NORMAL
from tests.support.hub.server import Fault

if TYPE_CHECKING:
    from ckpt_tools.audit.model import Candidate
    from tests.support.hub.server import HubServer

pytestmark = pytest.mark.usefixtures("led")

WEIGHTS = {"model.safetensors": b"weights", "config.json": b"{}"}


def find(*wheres: str, **options: object) -> list[Candidate]:
    return list(candidates(wheres, **options))  # type: ignore[arg-type]  # options of any kind


def fill(hub: HubServer, number: int = 5) -> dict[str, str]:
    """Models of an owner, and the commit of each."""
    names = [f"lab/m{at}" for at in range(number)]
    return {name: hub.add_repo(name, WEIGHTS, bases=("lab/base",)) for name in names}


@pytest.mark.parametrize("hub", [{"page_size": 2}], indirect=True)
def test_an_owner_is_a_few_pages_and_one_listing_a_repository(hub: HubServer) -> None:
    commits = fill(hub)
    said: list[str] = []
    found = find("hf://lab", notify=said.append)
    assert [one.location for one in found] == [f"hf://{name}" for name in commits]
    one = found[0]
    assert one.source == "hf://lab"
    assert one.address == f"hf://lab/m0@{commits['lab/m0']}"
    assert (one.revision, one.owner, one.name) == (commits["lab/m0"], "lab", "lab/m0")
    assert (one.base_model, one.modified) == (("lab/base",), "2024-01-01T00:00:00.000Z")
    config, weights = one.files
    assert (config.path, config.size, len(config.etag), config.sha256) == ("config.json", 2, 40, "")
    assert (weights.path, weights.size, len(weights.sha256)) == ("model.safetensors", 7, 64)
    assert len(hub.requests.of("GET", "/api/models?")) == 3
    assert len(hub.requests) == 3 + len(commits)
    assert said == ["5 models on the Hub: about 25 requests"]


def test_what_is_known_at_its_commit_is_not_listed_again(hub: HubServer) -> None:
    commits = fill(hub)
    hub.push("lab/m1", {"config.json": b'{"a": 1}'})
    known = {f"hf://{name}": commit for name, commit in commits.items()}
    said: list[str] = []
    found = find("hf://lab", known=lambda at, commit: known[at] == commit, notify=said.append)
    assert [one.location for one in found if one.files] == ["hf://lab/m1"]
    assert {one.location: one.revision for one in found if not one.files} == {
        at: commit for at, commit in known.items() if at != "hf://lab/m1"
    }
    assert len(hub.requests) == 2
    hub.requests.clear()
    said.clear()
    assert len(find("hf://lab", known=lambda *_: True, notify=said.append)) == 5
    assert len(hub.requests) == 1
    assert said == ["5 models on the Hub: unchanged"]


def test_what_has_no_weights_or_is_not_wanted_is_not_listed(hub: HubServer) -> None:
    fill(hub, 2)
    hub.add_repo("lab/gguf", {"model.gguf": b"1"})
    hub.add_repo("lab/pickles", {"pytorch_model.bin": b"1", "config.json": b"{}"})
    pickles, only = find("hf://lab", only=["hf://lab/p*", "hf://lab/m1"])[::-1]
    assert "only pickles such as pytorch_model.bin" in pickles.trouble
    assert (only.location, pickles.listed) == ("hf://lab/m1", True)
    assert len(hub.requests) == 2


def test_what_is_inside_a_repository_is_found_by_its_folders(hub: HubServer) -> None:
    commit = hub.add_repo("lab/many", {
        "a/model.safetensors": b"1", "b/x.safetensors": b"1", "b/y.safetensors": b"1",
    })  # fmt: skip
    assert [(one.location, one.address) for one in find("hf://lab/many")] == [
        (f"hf://lab/many/{path}", f"hf://lab/many@{commit}/{path}")
        for path in ("a", "b/x.safetensors", "b/y.safetensors")
    ]
    (inside,) = find("hf://lab/many/a")
    assert (inside.location, inside.name) == ("hf://lab/many/a", "lab/many/a")
    (file,) = find("hf://lab/many@main/b/x.safetensors")
    assert file.address == f"hf://lab/many@{commit}/b/x.safetensors"
    assert [one.path for one in file.files] == ["x.safetensors"]


def test_what_several_sources_have_is_found_once(hub: HubServer) -> None:
    hub.add_repo("lab/m", {"a/model.safetensors": b"1", "b/model.safetensors": b"1"})
    found = find("hf://lab/m/a", "hf://lab", "hf://lab/m", "lab/m")
    assert [(one.location, one.source) for one in found] == [
        ("hf://lab/m/a", "hf://lab/m/a"),
        ("hf://lab/m/b", "hf://lab"),
    ]
    assert len(hub.requests) == 3


def test_a_collection_has_its_models(hub: HubServer) -> None:
    fill(hub, 2)
    hub.add_collection("lab/best-01", ("model", "lab/m1"), ("dataset", "lab/d"), ("model", "x/y"))
    found, gone = find("hf://collections/lab/best-01")
    assert (found.location, found.source) == ("hf://lab/m1", "hf://collections/lab/best-01")
    assert "no such model on the Hub" in gone.trouble


@pytest.mark.parametrize(
    ("where", "words"),
    [
        ("hf://collections/lab/none", "no such collection on the Hub"),
        ("hf://lab/none", "no such model on the Hub"),
        ("hf://lab/m0/none", "no such file or folder"),
        ("hf://lab/m0@none", "no such branch, tag or commit"),
        ("hf://datasets/a/b", "names a dataset"),
        ("hf://a b/c", "not a valid name"),
    ],
)
def test_what_is_not_there_is_a_candidate_that_says_so(
    hub: HubServer, where: str, words: str
) -> None:
    fill(hub, 1)
    (found,) = find(where)
    assert words in found.trouble
    assert not found.listed


def test_a_repository_that_disappears_or_is_gated_does_not_stop_the_others(hub: HubServer) -> None:
    fill(hub, 4)

    def lose(_: str) -> None:
        hub.remove_repo("lab/m1")
        hub.gate_repo("lab/m2")

    found = find("hf://lab", notify=lose)
    assert [one.location for one in found] == [f"hf://lab/m{at}" for at in range(4)]
    assert ["no such model on the Hub" in one.trouble for one in found] == [
        False, True, False, False,
    ]  # fmt: skip


@pytest.mark.parametrize("hub", [{"page_size": 4}], indirect=True)
def test_a_quota_is_waited_out_and_no_request_is_lost(
    hub: HubServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    commits = fill(hub, 30)
    hub.quota.limits["api"] = 7
    monkeypatch.setattr(hub_client, "pause", hub.quota.move)
    said: list[str] = []
    found = find("hf://lab", notify=said.append)
    assert [one.revision for one in found] == [commits[name] for name in sorted(commits)]
    assert not any(one.trouble for one in found)
    assert hub.quota.refused
    assert any("quota is used up: waiting" in line for line in said)
    answered = [record for record in hub.requests if record.status == 200]
    assert len(answered) == len({record.path for record in answered}) == 8 + 30


def test_a_wait_of_minutes_is_waited_for(hub: HubServer, waits: list[float]) -> None:
    hub.add_repo("lab/m", WEIGHTS)
    hub.misbehave(Fault.TOO_MANY_REQUESTS, seconds=200)
    assert find("hf://lab/m")[0].trouble == ""
    assert [round(seconds) for seconds in waits] == [201]


def test_a_quota_that_never_comes_back_is_given_up(hub: HubServer, waits: list[float]) -> None:
    hub.add_repo("lab/m", WEIGHTS)
    hub.misbehave(Fault.TOO_MANY_REQUESTS, times=999, seconds=30)
    (found,) = find("hf://lab/m")
    assert "answered 429 (Too Many Requests), after 20 attempts" in found.trouble
    assert len(waits) < 20
    hub.behave()
    hub.misbehave(Fault.TOO_MANY_REQUESTS, seconds=4000)
    (found,) = find("hf://lab/m")
    assert "asks to wait 4,000 seconds" in found.trouble


def test_a_next_page_of_another_server_is_not_asked_for(
    hub: HubServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The token goes to the Hub only."""
    monkeypatch.setattr(
        hub_client.HubClient, "_whole", lambda *_: (b"[]", "http://elsewhere/api/models?cursor=2")
    )
    (found,) = find("hf://lab")
    assert "names a next page that is not its own" in found.trouble
    assert not hub.requests


def test_a_check_lists_nothing_again_and_takes_two_requests_a_file(hub: HubServer) -> None:
    hub.add_repo("lab/policy", NORMAL)
    hub.add_repo(
        "lab/parts", {"a/x.safetensors": NORMAL["model.safetensors"], "a/y.safetensors": b""}
    )
    for one in find("hf://lab/policy", "hf://lab/parts"):
        hub.requests.clear()
        with hub_session():
            remember_listing(one.address, one.files)
            found = verify(one.address)
        assert found.checkpoint or one.location.endswith("y.safetensors")
        assert not hub.requests.of("GET", "/revision/")
        files = {file.path for file in one.files}
        read = {
            name: sum(f"/{name}" in record.path.partition("?")[0] for record in hub.requests)
            for name in files
        }
        assert max(read.values()) <= 2, read
