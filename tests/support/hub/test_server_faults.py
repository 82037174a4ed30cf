"""Every fault of the stand-in is what it says, and the real client gets over what it should."""

from __future__ import annotations

import threading
import time
from contextlib import suppress
from pathlib import Path

import pytest
from huggingface_hub import HfApi, constants
from huggingface_hub.errors import HfHubHTTPError
from huggingface_hub.utils import httpx

from tests.support.hub.asking import FILES, NO_TLS, REPO, WEIGHTS, ask, cdn
from tests.support.hub.server import Fault, HubServer


def test_a_short_read_breaks_off_in_the_middle(hub: HubServer) -> None:
    hub.add_repo(REPO, FILES)
    hub.misbehave(Fault.SHORT_READ, path_contains="/cdn/")
    where = cdn(hub)
    with pytest.raises(httpx.RemoteProtocolError, match="received 5120 bytes, expected 10240"):
        ask(hub, where)
    assert hub.requests[-1].sent == len(WEIGHTS) // 2
    assert ask(hub, where).content == WEIGHTS


def test_a_range_is_ignored(hub: HubServer) -> None:
    hub.add_repo(REPO, FILES)
    hub.misbehave(Fault.IGNORES_RANGE)
    where = cdn(hub)
    answers = [
        ask(hub, where),
        ask(hub, where, Range="bytes=0-9"),
        ask(hub, where, Range="bytes=0-9"),
    ]
    assert [
        (answer.status_code, answer.headers.get("Content-Range"), len(answer.content))
        for answer in answers
    ] == [
        (200, None, len(WEIGHTS)),
        (200, None, len(WEIGHTS)),
        (206, f"bytes 0-9/{len(WEIGHTS)}", 10),
    ]


def test_lengths_ranges_and_bytes_are_wrong(hub: HubServer) -> None:
    hub.add_repo(REPO, FILES)
    where = cdn(hub)
    hub.misbehave(Fault.WRONG_LENGTH)
    answer = ask(hub, where, Range="bytes=10-19")
    assert (answer.headers["Content-Length"], answer.headers["Content-Range"], answer.content) == (
        "9",
        f"bytes 10-19/{len(WEIGHTS)}",
        WEIGHTS[10:19],
    )
    hub.misbehave(Fault.WRONG_RANGE)
    answer = ask(hub, where, Range="bytes=10-19")
    assert (answer.headers["Content-Length"], answer.headers["Content-Range"], answer.content) == (
        "10",
        f"bytes 11-20/{len(WEIGHTS)}",
        WEIGHTS[10:20],
    )
    hub.misbehave(Fault.WRONG_BYTES)
    answer = ask(hub, where)
    assert [
        at
        for at, (got, right) in enumerate(zip(answer.content, WEIGHTS, strict=True))
        if got != right
    ] == [len(WEIGHTS) // 2]
    assert ask(hub, where).content == WEIGHTS


def test_redirects_lead_on_or_round_and_round(
    hub: HubServer, client: HfApi, tmp_path: Path
) -> None:
    hub.add_repo(REPO, FILES)
    hub.misbehave(Fault.EXTRA_REDIRECTS, path_contains="/resolve/", times=2)
    for path in ("config.json", "model.safetensors"):
        hub.requests.clear()
        assert Path(client.hf_hub_download(REPO, path)).read_bytes() == FILES[path]
        assert [record.status for record in hub.requests.of("HEAD")][:4] == [
            302,
            302,
            302,
            307 if path == "config.json" else 302,
        ]
    hub.misbehave(Fault.REDIRECT_LOOP, path_contains="/resolve/")
    with pytest.raises(httpx.TooManyRedirects):
        client.hf_hub_download(REPO, "config.json", cache_dir=tmp_path, force_download=True)
    hub.misbehave(Fault.EXTRA_REDIRECTS, path_contains="Signature")
    assert (
        httpx.get(cdn(hub), follow_redirects=True, trust_env=False, verify=NO_TLS).content
        == WEIGHTS
    )


@pytest.mark.parametrize(
    ("fault", "status"),
    [(Fault.TOO_MANY_REQUESTS, 429), (Fault.SERVER_ERROR, 500), (Fault.UNAVAILABLE, 503)],
)
def test_a_status_comes_as_often_as_it_was_asked_for(
    hub: HubServer, fault: Fault, status: int
) -> None:
    hub.add_repo(REPO, FILES)
    hub.misbehave(fault, times=2, path_contains="config", method="GET", seconds=7)
    paths = ["config.json", "model.safetensors", "config.json", "config.json"]
    answers = [ask(hub, f"/{REPO}/resolve/main/{path}") for path in paths]
    assert [answer.status_code for answer in answers] == [status, 302, status, 307]
    assert answers[0].headers.get("Retry-After") == ("7" if status == 429 else None)
    hub.misbehave(fault, times=9)
    hub.behave()
    assert ask(hub, f"/{REPO}/resolve/main/config.json").status_code == 307


def test_a_slow_answer_is_the_right_one(hub: HubServer) -> None:
    hub.add_repo(REPO, FILES)
    where = cdn(hub)
    hub.misbehave(Fault.SLOW, seconds=0.2)
    start = time.monotonic()
    assert ask(hub, where).content == WEIGHTS
    assert time.monotonic() - start >= 0.2


def test_a_slow_answer_holds_up_no_other_and_not_the_end() -> None:
    start = time.monotonic()
    with HubServer() as hub:

        def wait() -> None:
            with suppress(httpx.HTTPError):
                ask(hub, "/api/whoami-v2")

        hub.misbehave(Fault.SLOW, path_contains="whoami", seconds=600)
        waiting = threading.Thread(target=wait)
        waiting.start()
        assert ask(hub, "/api/agent-harnesses").status_code == 200
        assert waiting.is_alive()
    waiting.join()
    assert time.monotonic() - start < 300


def test_the_client_waits_and_tries_again(hub: HubServer, client: HfApi) -> None:
    hub.add_repo(REPO, FILES)
    hub.misbehave(Fault.TOO_MANY_REQUESTS, path_contains="/cdn/")
    assert Path(client.hf_hub_download(REPO, "model.safetensors")).read_bytes() == WEIGHTS
    assert [record.status for record in hub.requests.of("GET", "/cdn/")] == [429, 200]


@pytest.mark.parametrize("fault", [None, Fault.IGNORES_RANGE])
def test_the_client_resumes_what_broke_off(
    hub: HubServer, client: HfApi, monkeypatch: pytest.MonkeyPatch, fault: Fault | None
) -> None:
    """It counts in chunks, and asks again for a chunk that is not whole."""
    monkeypatch.setattr(constants, "DOWNLOAD_CHUNK_SIZE", 1024)
    hub.add_repo(REPO, FILES)
    hub.misbehave(Fault.SHORT_READ, path_contains="/cdn/")
    if fault:
        hub.misbehave(fault)
    assert Path(client.hf_hub_download(REPO, "model.safetensors")).read_bytes() == WEIGHTS
    half = len(WEIGHTS) // 2
    assert [(record.range, record.sent) for record in hub.requests.of("GET", "/cdn/")] == [
        (None, half),
        (f"bytes={half}-", len(WEIGHTS) if fault else half),
    ]


@pytest.mark.filterwarnings("ignore:Use 'content=:DeprecationWarning")
def test_an_upload_survives_a_fault_of_the_storage_but_not_of_the_commit(
    hub: HubServer, client: HfApi
) -> None:
    hub.add_repo(REPO)
    hub.misbehave(Fault.UNAVAILABLE, method="PUT")
    client.upload_file(path_or_fileobj=WEIGHTS, path_in_repo="model.safetensors", repo_id=REPO)
    assert [record.status for record in hub.requests.of("PUT")] == [503, 200]
    hub.misbehave(Fault.UNAVAILABLE, path_contains="/commit/")
    with pytest.raises(HfHubHTTPError, match="503"):
        client.upload_file(path_or_fileobj=b"{}", path_in_repo="config.json", repo_id=REPO)
    assert list(hub.files(REPO)) == ["model.safetensors"]
