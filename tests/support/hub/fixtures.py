"""What tests with the stand-in for the Hub share.

The stand-in, and this process' client as one that knows no other hub.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest
from huggingface_hub import HfApi, close_session, constants

from ckpt_tools.storage import hub_client
from tests.support.hub.policies import lead
from tests.support.hub.server import HubServer

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def hub(request: pytest.FixtureRequest) -> Iterator[HubServer]:
    """The stand-in, with the limits that a test may set."""
    with HubServer(**getattr(request, "param", {})) as running:
        yield running


@pytest.fixture
def client(hub: HubServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[HfApi]:
    """The real client in this process.

    What it has read from the environment when it was imported is said anew.
    """
    settings: dict[str, object] = {
        "ENDPOINT": hub.endpoint,
        "HUGGINGFACE_CO_URL_TEMPLATE": hub.endpoint + "/{repo_id}/resolve/{revision}/{filename}",
        "HF_URL_HOSTS": frozenset({"127.0.0.1"}),
        "HF_HUB_OFFLINE": False,
        "HF_HUB_DISABLE_XET": True,
        "HF_HUB_DISABLE_TELEMETRY": True,
        "HF_HUB_CACHE": str(tmp_path / "hub"),
        "HF_TOKEN_PATH": str(tmp_path / "token"),
        "HF_HUB_DISABLE_PROGRESS_BARS": True,
    }
    for name, value in settings.items():
        monkeypatch.setattr(constants, name, value)
    for name in [*os.environ]:
        if name.upper().startswith("HF_TOKEN") or name.upper().endswith("_PROXY"):
            monkeypatch.delenv(name)
    close_session()
    yield HfApi(endpoint=hub.endpoint, token=hub.token)
    close_session()


@pytest.fixture
def waits(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The seconds that were waited between attempts, none of which pass."""
    waited: list[float] = []
    monkeypatch.setattr(hub_client, "pause", waited.append)
    return waited


@pytest.fixture
def led(
    hub: HubServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, waits: list[float]
) -> Iterator[None]:
    """This process' client led to the stand-in, with a token, an empty cache and nobody waiting."""
    assert waits == []
    for name in [*os.environ]:
        if name.upper().startswith(("HF_", "HUGGING")) or name.upper().endswith("_PROXY"):
            monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(
        constants,
        "HUGGINGFACE_CO_URL_TEMPLATE",
        hub.endpoint + "/{repo_id}/resolve/{revision}/{filename}",
    )
    lead(
        monkeypatch,
        ENDPOINT=hub.endpoint,
        HF_HUB_CACHE=str(tmp_path / "cache"),
        HF_TOKEN_PATH=str(tmp_path / "token"),
    )
    monkeypatch.setenv("HF_TOKEN", hub.token)
    yield
    close_session()
