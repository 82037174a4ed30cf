"""The real client lists many: models of an owner, collections, buckets, and a quota."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from huggingface_hub.errors import HfHubHTTPError
from huggingface_hub.utils._http import parse_ratelimit_headers

from tests.support.hub.asking import ask

if TYPE_CHECKING:
    from huggingface_hub import HfApi

    from tests.support.hub.server import HubServer


@pytest.mark.parametrize("hub", [{"page_size": 2}], indirect=True)
def test_models_of_an_owner_come_in_pages_with_what_is_asked_for(
    hub: HubServer, client: HfApi
) -> None:
    commits = {f"lab/m{number}": hub.add_repo(f"lab/m{number}", {"a": b"1"}) for number in range(5)}
    hub.add_repo("lab/tuned", {}, bases=("lab/m0",))
    hub.add_repo("other/m", {})
    hub.add_repo("datasets/lab/data", {})
    found = list(client.list_models(author="lab", expand=["sha", "siblings", "lastModified"]))
    assert {one.id: one.sha for one in found if one.id in commits} == commits
    assert [one.id for one in found][-1] == "lab/tuned"
    assert [file.rfilename for file in found[0].siblings or ()] == ["a"]
    assert len(hub.requests) == 3
    (tuned,) = (client.list_models(author="lab", expand=["baseModels"], limit=6),)
    assert [one.base_models for one in tuned][-1] == {
        "relation": "finetune",
        "models": [{"id": "lab/m0"}],
    }


def test_a_collection_and_a_bucket_are_what_the_client_expects(
    hub: HubServer, client: HfApi
) -> None:
    hub.add_collection("lab/best-0123", ("model", "lab/m"), ("dataset", "lab/d"))
    items = client.get_collection("lab/best-0123").items
    assert [(one.item_type, one.item_id) for one in items] == [
        ("model", "lab/m"),
        ("dataset", "lab/d"),
    ]
    hub.add_bucket("lab/store", {"a/x.txt": b"12", "b.txt": b"3"})
    tree = list(client.list_bucket_tree("lab/store", recursive=True))
    assert [(one.path, getattr(one, "size", 0)) for one in tree] == [("a/x.txt", 2), ("b.txt", 1)]
    assert [one.path for one in client.list_bucket_tree("lab/store", "a/", recursive=True)] == [
        "a/x.txt"
    ]
    with pytest.raises(HfHubHTTPError):
        client.get_collection("lab/none")


def test_a_quota_refuses_until_its_window_ends(hub: HubServer) -> None:
    hub.quota.limits["api"] = 2
    assert [ask(hub, "/api/models").status_code for _ in range(3)] == [200, 200, 429]
    refused = ask(hub, "/api/models")
    told = parse_ratelimit_headers(refused.headers)
    assert told is not None
    assert (told.resource_type, told.remaining, told.limit) == ("api", 0, 2)
    assert len(hub.quota.refused) == 2
    hub.quota.move(told.reset_in_seconds + 1)
    assert ask(hub, "/api/models").status_code == 200
