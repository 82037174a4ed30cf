"""A small repository, and plain requests for what is in it.

What tests of the stand-in itself ask.
"""

from __future__ import annotations

import hashlib
import ssl
from typing import TYPE_CHECKING

from huggingface_hub.utils import httpx

if TYPE_CHECKING:
    from tests.support.hub.server import HubServer

REPO = "tester/model"
WEIGHTS = bytes(range(256)) * 40
TEXT = b'{"type": "smolvla"}'
FILES = {
    "config.json": TEXT,
    "model.safetensors": WEIGHTS,
    "notes/a b.txt": b"hello",
    "notes/empty.txt": b"",
}
SUM = hashlib.sha256(WEIGHTS).hexdigest()
NO_TLS = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)


def ask(hub: HubServer, path: str, method: str = "GET", **headers: str) -> httpx.Response:
    """What one plain request is answered; redirects are not followed."""
    return httpx.request(
        method, httpx.URL(hub.endpoint).join(path), headers=headers, trust_env=False, verify=NO_TLS
    )


def cdn(hub: HubServer, path: str = "model.safetensors") -> str:
    """Where an LFS file's content is."""
    return ask(hub, f"/{REPO}/resolve/main/{path}").headers["Location"]
