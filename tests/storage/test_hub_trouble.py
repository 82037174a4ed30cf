"""Errors while checkpoints are read from the Hub.

Server errors, invalid answers, and a Hub that cannot be reached.
"""

from __future__ import annotations

import socket

import pytest
from huggingface_hub.utils import httpx

from ckpt_tools import api, errors
from ckpt_tools.checkpoint import header
from ckpt_tools.checkpoint.dtype import Dtype
from ckpt_tools.checkpoint.model import Tensor
from ckpt_tools.checkpoint.read import read
from ckpt_tools.storage import hub_client
from ckpt_tools.storage.session import hub_session, remote_storage
from tests.support.hub.policies import NAME, NORMAL, REFLOW, REPO, lead, refusal
from tests.support.hub.server import Fault, HubServer

pytestmark = pytest.mark.usefixtures("led")


# --- what goes wrong on the way -------------------------------------------------------------------


@pytest.mark.parametrize(
    ("fault", "words"),
    [
        (Fault.SERVER_ERROR, "500 (Internal Server Error)"),
        (Fault.UNAVAILABLE, "503 (Service Unavailable)"),
        (Fault.TOO_MANY_REQUESTS, "429 (Too Many Requests)"),
    ],
)
@pytest.mark.parametrize("path", ["/revision/", "/resolve/", "/cdn/"])
def test_server_errors_are_retried_a_limited_number_of_times(
    hub: HubServer, waits: list[float], fault: Fault, words: str, path: str
) -> None:
    hub.add_repo(REPO, NORMAL)
    hub.misbehave(fault, times=hub_client.ATTEMPTS - 1, path_contains=path, seconds=7)
    assert len(read(NAME).tensors) == 500
    assert waits
    hub.misbehave(fault, times=99, path_contains=path)
    line = refusal(errors.WrongAnswer, lambda: read(NAME))
    assert line.startswith(NAME)
    assert f"answered {words}, after {hub_client.ATTEMPTS} attempts; try again later" in line


def test_retry_after_is_honored_up_to_a_limit(hub: HubServer, waits: list[float]) -> None:
    hub.add_repo(REPO, NORMAL)
    hub.misbehave(Fault.TOO_MANY_REQUESTS, path_contains="/revision/", seconds=7)
    read(NAME)
    assert waits == [7]
    hub.misbehave(Fault.TOO_MANY_REQUESTS, path_contains="/revision/", seconds=3600)
    assert (
        "answered 429 (Too Many Requests); it asks to wait 3,600 seconds: try again after that"
        in refusal(errors.WrongAnswer, lambda: read(NAME))
    )
    assert waits == [7]


@pytest.mark.parametrize(
    ("fault", "words", "path"),
    [
        (Fault.SHORT_READ, "sent an incomplete answer", "/cdn/"),
        (Fault.SHORT_READ, "sent an incomplete answer", "/resolve-cache/"),
        (Fault.WRONG_LENGTH, "instead of the requested", "/cdn/"),
        (Fault.WRONG_LENGTH, "instead of the requested", "/resolve-cache/"),
        (Fault.WRONG_RANGE, "in answer to a request for bytes 0-", "/cdn/"),
    ],
)
def test_a_wrong_answer_is_requested_again(
    hub: HubServer, fault: Fault, words: str, path: str
) -> None:
    hub.add_repo(REPO, NORMAL)
    hub.misbehave(fault, times=1, path_contains=path)
    assert len(read(NAME).tensors) == 500
    hub.misbehave(fault, times=99, path_contains=path)
    line = refusal(errors.WrongAnswer, lambda: read(NAME))
    assert line.startswith(f"{NAME}@")
    assert words in line


def test_a_truncated_listing_is_requested_again(hub: HubServer) -> None:
    hub.add_repo(REPO, NORMAL)
    hub.misbehave(Fault.SHORT_READ, path_contains="/revision/")
    assert len(read(NAME).tensors) == 500


def test_bytes_that_do_not_match_the_commit_are_rejected(hub: HubServer) -> None:
    hub.add_repo(REPO, NORMAL)
    hub.misbehave(Fault.WRONG_BYTES, path_contains="/config.json")
    assert "/config.json: the git id of the received file is not the one listed" in refusal(
        errors.WrongAnswer, lambda: read(NAME)
    )
    hub.misbehave(Fault.WRONG_BYTES, path_contains=f"/cdn/{REPO}/d5a2c43d", times=9)
    assert "the SHA-256 of the received file is not the one listed" in refusal(
        errors.WrongAnswer, lambda: read(NAME)
    )


@pytest.mark.parametrize("fault", [Fault.COMPRESSED])
def test_a_compressed_body_that_was_not_requested_is_rejected(hub: HubServer, fault: Fault) -> None:
    hub.add_repo(REPO, NORMAL)
    hub.misbehave(fault, path_contains="/cdn/")
    assert "sent a compressed body, unrequested" in refusal(errors.WrongAnswer, lambda: read(NAME))


def test_a_server_that_ignores_ranges_is_read_only_as_far_as_needed(hub: HubServer) -> None:
    """The rest of 64 MiB is not received, apart from what the system has buffered."""
    entry = Tensor("w", Dtype.U8, (64 << 20,), "", 0, 64 << 20)
    big = header.encode(header.layout([entry])) + bytes(64 << 20)
    hub.add_repo(REPO, {"model.safetensors": big})
    hub.misbehave(Fault.IGNORES_RANGE, times=99)
    found = api.show(NAME)
    assert len(found.checkpoint.tensors) == 1
    assert found.transferred is not None
    assert found.transferred.received < 1 << 20


def test_a_range_far_into_a_file_never_downloads_the_bytes_before_it(hub: HubServer) -> None:
    hub.add_repo(REPO, {"model.safetensors": header.encode(()), "far.bin": bytes(8 << 20)})
    hub.misbehave(Fault.IGNORES_RANGE, times=99)
    with hub_session():
        storage = remote_storage(NAME)
        with storage.open(f"{storage.root}/far.bin") as file:
            line = refusal(errors.WrongAnswer, lambda: file.read(10, 4 << 20))
    assert (
        "ignores ranges: it sends the whole file instead of bytes 4194304-4194313; check"
        " HF_ENDPOINT"
    ) in line


def test_redirects_are_followed_except_loops_and_other_schemes(hub: HubServer) -> None:
    hub.add_repo(REPO, NORMAL)
    hub.misbehave(Fault.EXTRA_REDIRECTS, path_contains="/resolve/", times=3)
    assert len(read(NAME).tensors) == 500
    hub.misbehave(Fault.REDIRECT_LOOP, path_contains="/resolve/", times=9)
    hub.requests.clear()
    assert "redirects too often" in refusal(
        errors.WrongAnswer, lambda: read(f"{NAME}/model.safetensors")
    )
    assert len(hub.requests) == 1 + hub_client.MAX_REDIRECTS
    hub.behave()
    hub.misbehave(Fault.LEADS_ASTRAY, path_contains="/resolve/", times=9)
    assert "redirects to an address that starts with file:, which is not followed" in refusal(
        errors.WrongAnswer, lambda: read(NAME)
    )


def test_an_expired_signed_url_is_requested_again(hub: HubServer) -> None:
    hub.add_repo(REPO, REFLOW)
    with hub_session():
        storage = remote_storage(NAME)
        with storage.open(f"{storage.root}/model.safetensors") as file:
            file.read(8, 0)
            hub._protocol.signature = "another"
            assert file.read(100, 100_000) == REFLOW["model.safetensors"][100_000:100_100]
    assert [record.status for record in hub.requests][1:] == [302, 206, 403, 302, 206]


@pytest.mark.parametrize("fault", [Fault.HTML, Fault.OTHER_JSON])
def test_a_page_that_is_not_a_listing_is_rejected(hub: HubServer, fault: Fault) -> None:
    hub.add_repo(REPO, NORMAL)
    hub.misbehave(fault, path_contains="/revision/")
    line = refusal(errors.WrongAnswer, lambda: read(NAME))
    assert line.startswith(f"{NAME}: ")
    assert "is not the expected JSON" in line or "names no commit" in line


def test_a_file_over_its_size_limit_is_not_fetched(hub: HubServer) -> None:
    hub.add_repo(REPO, NORMAL | {"config.json": b"[" * (5 << 20)})
    assert (
        "config.json: has 5,242,880 bytes; files of this kind may have at most 4,194,304"
        in refusal(errors.Unreadable, lambda: read(NAME))
    )


def test_a_file_missing_from_the_storage_is_reported(
    hub: HubServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    commit = hub.add_repo(REPO, NORMAL)
    monkeypatch.setattr(
        "ckpt_tools.storage.hub_storage.file_url",
        lambda a, _b, path: f"{a.endpoint}/{REPO}/resolve/{commit}/{path}.gone",
    )
    assert f"{NAME}@{commit}/model.safetensors: does not exist on the Hub" in refusal(
        errors.PathNotFound, lambda: read(f"{NAME}/model.safetensors")
    )


def test_a_redirect_from_https_to_http_is_not_followed(monkeypatch: pytest.MonkeyPatch) -> None:
    lead(monkeypatch, ENDPOINT="https://hub.test")
    requested = []

    def answer(request: httpx.Request) -> httpx.Response:
        requested.append(str(request.url))
        return httpx.Response(302, headers={"Location": "http://hub.test/plain"})

    session = httpx.Client(transport=httpx.MockTransport(answer))
    monkeypatch.setattr("huggingface_hub.get_session", lambda: session)
    line = refusal(errors.WrongAnswer, lambda: read(NAME))
    assert "hub.test redirects to an address that starts with http:, which is not followed" in line
    assert [address.partition("://")[0] for address in requested] == ["https"]


@pytest.mark.parametrize("token", ["hf_xxx\x00y", "hf_xxx\u00e4"])
def test_an_invalid_token_is_not_quoted(
    hub: HubServer, monkeypatch: pytest.MonkeyPatch, token: str
) -> None:
    hub.add_repo(REPO, NORMAL)
    monkeypatch.setattr("huggingface_hub.utils._headers.get_token", lambda: token)
    assert "check HF_" in refusal(errors.Unreachable, lambda: read(NAME))


# --- no way to the Hub ----------------------------------------------------------------------------


def test_a_hub_that_does_not_answer_times_out(
    hub: HubServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    hub.add_repo(REPO, NORMAL)
    lead(monkeypatch, HF_HUB_DOWNLOAD_TIMEOUT=0.2)
    hub.misbehave(Fault.SLOW, times=99, seconds=600)
    assert "did not answer within 0.2 seconds" in refusal(errors.Unreachable, lambda: read(NAME))


def closed_port() -> int:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return int(taken.getsockname()[1])


@pytest.mark.parametrize(
    ("endpoint", "words"),
    [
        ("http://127.0.0.1:{closed}", "127.0.0.1:{closed} cannot be reached: Connection refused"),
        ("http://nowhere.invalid", "nowhere.invalid cannot be reached: "),
        ("https://127.0.0.1:{plain}", "127.0.0.1:{plain} cannot be reached: "),
        ("http://127.0.0.1:x", "the Hub cannot be contacted: "),
        ("ftp://127.0.0.1", "127.0.0.1 cannot be reached: "),
    ],
    ids=["refused", "no such host", "no TLS", "no address", "no scheme"],
)
def test_an_unreachable_hub_is_one_line(
    hub: HubServer, monkeypatch: pytest.MonkeyPatch, endpoint: str, words: str
) -> None:
    ports = {"closed": closed_port(), "plain": hub.endpoint.rpartition(":")[2]}
    lead(monkeypatch, ENDPOINT=endpoint.format(**ports))
    line = refusal(errors.Unreachable, lambda: read(NAME))
    assert line.startswith(f"{NAME}: {words.format(**ports)}")
    assert (
        "check the network, HF_ENDPOINT and the proxy settings" in line
        or "check HF_ENDPOINT" in line
    )
