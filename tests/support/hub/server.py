"""A stand-in for the Hugging Face Hub.

A web server on this machine that the real client takes for the Hub, keeps count, and misbehaves
when told to.

    with HubServer() as hub:
        first = hub.add_repo("owner/name", {"config.json": b"{}"})
        subprocess.run(["hf", "upload", "owner/name", folder], env=hub.environment(home))
        assert hub.files("owner/name", first) == {"config.json": b"{}"}
        assert not hub.requests.of("PUT")

The client reads its environment when it is imported: lead it here from a subprocess, or by
`endpoint=` and `token=`. Contents of LFS files are served from another host name, as on the Hub, so
that a client's token stays behind.
"""

from __future__ import annotations

import os
import sys
import threading
from contextlib import suppress
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from socket import SHUT_RDWR
from typing import TYPE_CHECKING, Any, Self

from tests.support.hub import lists, reading, writing
from tests.support.hub.faults import Armed, Fault, Faults
from tests.support.hub.messages import Answer, Record, Records, Refused, Request, part
from tests.support.hub.protocol import TOKEN, Limits, Protocol
from tests.support.hub.quota import Quota
from tests.support.hub.repository import Blob, Commit, Repository, is_lfs

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

__all__ = ["TOKEN", "Commit", "Fault", "HubServer", "Record"]

CHUNK = 64 * 1024
MEBIBYTE = 1024 * 1024
FOREIGN = ("HF_", "HUGGING", "TRANSFORMERS_", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY")


class Handler(BaseHTTPRequestHandler):
    """Reads requests and writes answers. What to answer is for the hub to say."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    server: Listener

    def serve(self) -> None:
        """Answer one request, on record before the client has the answer."""
        headers = {name.lower(): value for name, value in self.headers.items()}
        request = Request(
            self.command, self.path, headers, self.rfile.read(int(headers.get("content-length", 0)))
        )
        if "transfer-encoding" in headers:
            answer = replace(Refused(411, "A body needs a Content-Length").answer, closes=True)
        else:
            answer = self.server.hub.answer(request)
        record = Record(
            request.method, request.target, answer.status, headers.get("range"),
            headers.get("host", ""), "authorization" in headers, headers.get("user-agent", ""),
            len(request.body),
        )  # fmt: skip
        self.server.hub.requests.append(record)
        self.write(record, answer)

    do_GET = do_HEAD = do_POST = do_PUT = do_DELETE = serve  # noqa: N815 - the standard library's names

    def write(self, record: Record, answer: Answer) -> None:
        """Send the answer, counting what goes out."""
        self.send_response(answer.status)
        for name, value in {"Content-Length": str(len(answer.body)), **answer.headers}.items():
            self.send_header(name, value)
        self.end_headers()
        body = memoryview(b"" if self.command == "HEAD" else answer.body)
        for start in range(0, len(body), CHUNK):
            chunk = body[start : start + CHUNK]
            record.sent += len(chunk)
            self.wfile.write(chunk)
        self.close_connection = self.close_connection or answer.closes

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the standard library's name
        """Print nothing: the record has it all."""


class Listener(ThreadingHTTPServer):
    """A thread for every connection, and none left when it is closed."""

    daemon_threads = False
    request_queue_size = 64

    def __init__(self, hub: HubServer) -> None:
        self.hub = hub
        self.connections: set[Any] = set()
        super().__init__(("127.0.0.1", 0), Handler)

    def process_request(self, request: Any, client_address: Any) -> None:
        self.connections.add(request)
        super().process_request(request, client_address)

    def shutdown_request(self, request: Any) -> None:
        self.connections.discard(request)
        super().shutdown_request(request)

    def handle_error(self, request: Any, client_address: Any) -> None:  # noqa: ARG002 - the standard library's signature
        """A client may leave in the middle; anything else is the stand-in's own failure."""
        error = sys.exception()
        if isinstance(error, Exception) and not isinstance(error, ConnectionError):
            self.hub.failures.append(error)

    def close(self) -> None:
        self.shutdown()
        for connection in list(self.connections):
            with suppress(OSError):
                connection.shutdown(SHUT_RDWR)
        self.server_close()


class HubServer:
    """The stand-in, running while its context lasts.

    Leaving it raises what went wrong inside, so that no failure of its own passes for the Hub's.
    """

    def __init__(
        self,
        *,
        lfs_threshold: int = 10 * MEBIBYTE,
        part_size: int = 20_000_000,
        page_size: int = 1000,
    ) -> None:
        self.token = TOKEN
        self.requests = Records()
        self.failures: list[Exception] = []
        self._lock = threading.RLock()
        self._faults = Faults()
        self.quota = Quota()
        self._listener = Listener(self)
        port = self._listener.server_port
        self.endpoint = f"http://127.0.0.1:{port}"
        limits = Limits(lfs_threshold, part_size, page_size)
        self._protocol = Protocol(
            self.endpoint,
            f"http://localhost:{port}",
            limits,
            [*lists.ENDPOINTS, *reading.ENDPOINTS, *writing.ENDPOINTS],
        )
        self._thread = threading.Thread(target=self._listener.serve_forever, args=(0.02,))

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, kind: object, *_: object) -> None:
        self._faults.stopped.set()
        self._listener.close()
        self._thread.join()
        if self.failures and kind is None:
            raise self.failures[0]

    def answer(self, request: Request) -> Answer:
        """The answer as it goes out, faults and all."""
        try:
            if instead := self.quota.instead(request) or self._faults.instead(request):
                return instead
            with self._lock:
                whole = self._protocol.answer(request)
            return self._faults.spoil(
                request,
                whole,
                part(whole, request.headers.get("range") if request.method == "GET" else None),
            )
        except Exception as error:  # noqa: BLE001 - raised when the hub is left
            self.failures.append(error)
            return Refused(501, f"The stand-in failed: {error!r}").answer

    def add_repo(
        self,
        name: str,
        files: Mapping[str, bytes] | None = None,
        *,
        private: bool = False,
        gated: bool = False,
        bases: tuple[str, ...] = (),
    ) -> str:
        """The id of the first commit of a new repository.

        Of a model, or of a dataset by the name 'datasets/owner/name'.
        """
        with self._lock:
            if name in self._protocol.repositories:
                message = f"{name} exists already"
                raise ValueError(message)
            self._protocol.repositories[name] = Repository(name, private, gated, bases)
            return self._commit(name, files or {}, "initial commit")

    def remove_repo(self, name: str) -> None:
        """Let a repository disappear."""
        with self._lock:
            del self._protocol.repositories[name]

    def gate_repo(self, name: str) -> None:
        """Let its owner decide from now on who may read a repository."""
        with self._lock:
            self._protocol.repositories[name].gated = True

    def add_collection(self, slug: str, *items: tuple[str, str]) -> None:
        """Add a collection of (type, name)."""
        with self._lock:
            self._protocol.collections[slug] = items

    def add_bucket(self, name: str, files: Mapping[str, bytes]) -> None:
        """Add a bucket, or replace its files."""
        with self._lock:
            self._protocol.buckets[name] = dict(files)

    def push(
        self,
        name: str,
        files: Mapping[str, bytes],
        *,
        title: str = "push",
        delete: Iterable[str] = (),
    ) -> str:
        """The id of a new commit on main, with files added or changed, and others deleted."""
        with self._lock:
            there = self.files(name)
            return self._commit(
                name,
                {
                    path: data
                    for path, data in (there | dict(files)).items()
                    if path not in set(delete)
                },
                title,
            )

    def _commit(self, name: str, files: Mapping[str, bytes], title: str) -> str:
        blobs = {
            path: Blob(data, is_lfs(path, len(data), self._protocol.limits.lfs_threshold))
            for path, data in files.items()
        }
        return self._protocol.repositories[name].commit(blobs, title).id

    def tag(self, name: str, tag: str, revision: str = "main") -> None:
        """Give a revision a name that stays."""
        with self._lock:
            self._protocol.repositories[name].tags[tag] = (
                self._protocol.repositories[name].resolve(revision).id
            )

    def files(self, name: str, revision: str = "main") -> dict[str, bytes]:
        """Every file at a revision."""
        with self._lock:
            return {
                path: blob.data
                for path, blob in self._protocol.repositories[name].resolve(revision).files.items()
            }

    def commits(self, name: str, revision: str = "main") -> list[Commit]:
        """The commits that led to a revision, latest first."""
        with self._lock:
            return list(self._protocol.repositories[name].log(revision))

    def misbehave(
        self,
        fault: Fault,
        *,
        times: int = 1,
        path_contains: str = "",
        method: str = "",
        seconds: float = 0,
    ) -> None:
        """Have the next `times` requests that the fault can befall suffer it.

        `seconds`: how slow, or what Retry-After says.
        """
        self._faults.arm(Armed(fault, times, path_contains, method, seconds))

    def behave(self) -> None:
        """Forget every fault that is still to come."""
        self._faults.clear()

    def environment(self, home: Path, *, token: str | None = TOKEN) -> dict[str, str]:
        """The whole environment of a subprocess whose client knows this hub only.

        The client keeps everything under `home`, and has this token.
        """
        kept = {
            name: value
            for name, value in os.environ.items()
            if not name.upper().startswith(FOREIGN)
        }
        settings = {
            "HF_ENDPOINT": self.endpoint, "HF_HOME": str(home), "HF_HUB_OFFLINE": "0",
            "HF_HUB_DISABLE_XET": "1", "HF_HUB_DISABLE_TELEMETRY": "1",
            "HF_HUB_DISABLE_UPDATE_CHECK": "1", "HF_HUB_DISABLE_PROGRESS_BARS": "1",
            "NO_PROXY": "localhost,127.0.0.1",
        }  # fmt: skip
        return kept | settings | ({} if token is None else {"HF_TOKEN": token})
