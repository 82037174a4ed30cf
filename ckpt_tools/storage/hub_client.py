"""Requests to the Hub: whole bodies and byte ranges, bounded, counted and retried.

The session, headers, cache and offline mode are huggingface_hub's own. Its `http_backoff`,
`hf_raise_for_status` and `HfFileSystem` are not used: they sleep for as long as a server demands,
read bodies of any length, and print addresses with their signatures.

Every error is one of this package's, with `path` set to the URL; callers replace it by the name.
"""

from __future__ import annotations

import os
import re
import threading
import time
from contextlib import closing, contextmanager
from functools import partial
from typing import TYPE_CHECKING

from ckpt_tools import __version__
from ckpt_tools.errors import StoreError, Unreachable, WrongAnswer
from ckpt_tools.storage.hub_library import hub_library
from ckpt_tools.storage.hub_quota import LONGEST_QUOTA_WAIT, QUOTA_ATTEMPTS, current_quota

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from huggingface_hub.utils import httpx

ATTEMPTS = 4
CONNECTION_ATTEMPTS = 2
LONGEST_WAIT = 60.0
"""Seconds. If a server asks for a longer wait, the request fails."""

LONGEST_ANSWER = 300.0
"""Seconds from the first byte of a body to its last, however steadily it arrives."""

MAX_REDIRECTS = 10
MAX_SKIPPED = 1 << 20
"""Bytes before a range that are read and dropped if a server ignores ranges."""

_OK, _PARTIAL, _TOO_MANY = 200, 206, 429
_RETRIED = frozenset({408, 429, 500, 502, 503, 504})
_SMALL_BODY = 1 << 16

pause = time.sleep


class Refusal(StoreError):
    """A status that means failure. `code` and `message` are the Hub's own, "" if it sent none."""

    def __init__(self, url: str, status: int, headers: Mapping[str, str]) -> None:
        super().__init__(f"answered {status}", path=url)
        self.status = status
        self.code = headers.get("x-error-code", "")
        self.message = " ".join(headers.get("x-error-message", "").split())


class _Retry(Exception):
    """A failed attempt: `error` is raised after `attempts`, `seconds` is the requested wait.

    `is_quota` says that too many requests were sent.
    """

    def __init__(
        self,
        error: StoreError,
        seconds: float | None = None,
        attempts: int = ATTEMPTS,
        *,
        is_quota: bool = False,
    ) -> None:
        super().__init__()
        self.error = error
        self.seconds = seconds
        self.attempts = attempts
        self.is_quota = is_quota


class HubClient:
    """A connection to the Hub that counts `requests` and `received` bytes. Threads may share it.

    The token is sent to the Hub only: httpx drops it from redirects to another origin.
    """

    def __init__(self) -> None:
        library = hub_library()
        constants = library.constants
        self.endpoint = constants.ENDPOINT.rstrip("/")
        self.offline = bool(constants.HF_HUB_OFFLINE)
        self.requests = 0
        self.received = 0
        self._cache = constants.HF_HUB_CACHE
        self._seconds = float(constants.HF_HUB_DOWNLOAD_TIMEOUT)
        self._offline_error = library.errors.OfflineModeIsEnabled
        self._httpx = library.utils.httpx
        self._session = library.get_session
        self._headers = library.utils.build_hf_headers(
            library_name="ckpt-tools", library_version=__version__
        )
        self._lock = threading.Lock()
        self._quota = current_quota()
        self._resolved: dict[str, tuple[httpx.URL, Mapping[str, str]]] = {}

    @property
    def has_token(self) -> bool:
        """Whether requests to the Hub carry a token."""
        return any(name.lower() == "authorization" for name in self._headers)

    def cache_of(self, repository: str) -> str:
        """Return the folder in which huggingface_hub keeps its downloads of `repository`."""
        return os.path.join(self._cache, "--".join(("models", *repository.split("/"))))

    def whole(self, url: str, limit: int) -> bytes:
        """Return the body at `url`.

        Raises Refusal, Unreachable, or WrongAnswer, also for more than `limit` bytes.
        """
        return self._retried(lambda: self._whole(url, limit))[0]

    def pages(self, url: str, limit: int) -> Iterator[bytes]:
        """Yield the bodies of a list that comes in pages, each of which names the next one.

        Raises as `whole` does, and WrongAnswer for a next page that is not on the Hub.
        """
        while url:
            body, following = self._retried(partial(self._whole, url, limit))
            yield body
            if following and not following.startswith(f"{self.endpoint}/api/"):
                raise WrongAnswer("the Hub names a next page that is not its own", path=url)
            url = following

    def range(self, url: str, start: int, end: int, size: int) -> bytes:
        """Return bytes `start` to `end` (exclusive) of the file of `size` bytes at `url`.

        Where its redirects end is remembered, and the next range requested from there. Raises as
        `whole` does.
        """
        return self._retried(lambda: self._range(url, start, end, size)) if start < end else b""

    def _retried[T](self, attempt: Callable[[], T]) -> T:
        attempts = 0
        while True:
            if self._quota:
                self._quota.pass_(pause)
            try:
                return attempt()
            except _Retry as retry:
                failure = retry
            attempts += 1
            seconds = 0.25 * 2**attempts if failure.seconds is None else failure.seconds
            is_waited_out = failure.is_quota and self._quota is not None
            most, longest = failure.attempts, LONGEST_WAIT
            if is_waited_out:
                most, longest = QUOTA_ATTEMPTS, LONGEST_QUOTA_WAIT
            if attempts >= most or seconds > longest:
                error = failure.error
                error.what += f", after {attempts} attempts" * (attempts > 1)
                if seconds > longest:
                    error.next = f"it asks to wait {seconds:,.0f} seconds: try again after that"
                raise error
            if is_waited_out and self._quota:
                self._quota.refused(seconds + 1)  # servers round the seconds down
            else:
                pause(seconds)

    def _whole(self, url: str, limit: int) -> tuple[bytes, str]:
        """Return the body at `url`, and the address of the next page, "" if there is none."""
        with self._response(url, {}) as response:
            if response.status_code != _OK:
                raise WrongAnswer(
                    f"{_host(response.url)} answered {response.status_code} instead of {_OK}",
                    path=url,
                )
            following = str(response.links.get("next", {}).get("url", ""))
            body = self._read(response, limit + 1)
        if len(body) > limit:
            raise WrongAnswer(
                f"{_host(response.url)} sent more than {limit:,} bytes, the limit for this request",
                path=url,
            )
        return body, following

    def _range(self, url: str, start: int, end: int, size: int) -> bytes:
        span = {} if (start, end) == (0, size) else {"Range": f"bytes={start}-{end - 1}"}
        with self._response(url, {"Accept-Encoding": "identity", **span}) as response:
            host, headers = _host(response.url), response.headers
            if headers.get("content-encoding", "identity") != "identity":
                raise WrongAnswer(f"{host} sent a compressed body, unrequested", path=url)
            partial = response.status_code == _PARTIAL
            if partial and headers.get("content-range") != f"bytes {start}-{end - 1}/{size}":
                raise _Retry(
                    WrongAnswer(
                        f"{host} sent {headers.get('content-range', 'no Content-Range')} in answer "
                        f"to a request for bytes {start}-{end - 1} of {size}",
                        path=url,
                    )
                )
            skipped = 0 if partial else start
            if skipped > MAX_SKIPPED:
                raise WrongAnswer(
                    f"{host} ignores ranges: it sends the whole file instead of bytes "
                    f"{start}-{end - 1}",
                    path=url,
                    hint="check HF_ENDPOINT and proxies, or download the file with `hf download`",
                )
            body = self._read(response, skipped + end - start)[skipped:]
        if len(body) != end - start:
            raise _Retry(
                WrongAnswer(
                    f"{host} sent {len(body):,} bytes instead of the requested {end - start:,}",
                    path=url,
                )
            )
        return body

    @contextmanager
    def _response(self, url: str, headers: Mapping[str, str]) -> Iterator[httpx.Response]:
        """Yield the answer at the end of the redirects, a success. Raises _Retry, StoreError."""
        session = self._session()
        address, hub_headers = self._resolved.get(url, (url, self._headers))
        try:
            request = session.build_request(
                "GET", address, headers={**hub_headers, **headers}, timeout=self._seconds
            )
            for _ in range(MAX_REDIRECTS):
                with self._lock:
                    self.requests += 1
                sent = session.send(request, stream=True, follow_redirects=False)
                with closing(sent) as response:
                    if response.next_request is None:
                        self._refuse(url, response)
                        self._remember(url, request)
                        yield response
                        return
                    self._read(response, _SMALL_BODY)  # a connection is reused only once read
                    before, request = request, response.next_request
                    if request.url.scheme not in {"https", before.url.scheme}:
                        raise WrongAnswer(
                            f"{_host(before.url)} redirects to an address that starts with "
                            f"{request.url.scheme}:, which is not followed",
                            path=url,
                        )
        except self._offline_error:
            raise Unreachable(
                "offline mode is enabled: HF_HUB_OFFLINE is set",
                path=url,
                hint="unset HF_HUB_OFFLINE, or download the repository first",
            ) from None
        except (self._httpx.HTTPError, self._httpx.InvalidURL, ValueError) as error:
            raise self._failure(error, url) from None
        raise WrongAnswer(f"{_host(request.url)} redirects too often", path=url)

    def _remember(self, url: str, request: httpx.Request) -> None:
        """Send the next request for `url` straight there, with no token if this had none."""
        anonymous = {
            name: text for name, text in self._headers.items() if name.lower() != "authorization"
        }
        same = "authorization" in request.headers
        self._resolved[url] = (request.url, self._headers if same else anonymous)

    def _failure(self, error: Exception, url: str) -> _Retry | Unreachable:
        """Return the exception for an attempt that `error` ended."""
        httpx, text = self._httpx, _text(error)
        if isinstance(error, httpx.LocalProtocolError) or not isinstance(error, httpx.HTTPError):
            # Only an InvalidURL's text is safe: others can quote what was to be sent, the token.
            safe = isinstance(error, httpx.InvalidURL)
            return Unreachable(
                f"the Hub cannot be contacted: {text if safe else 'invalid header or address'}",
                path=url,
                hint="check HF_ENDPOINT, HF_TOKEN and the proxy settings",
            )
        host = _host(error.request.url)
        if isinstance(error, httpx.TimeoutException):
            return _Retry(
                Unreachable(f"{host} did not answer within {self._seconds:g} seconds", path=url)
            )
        if isinstance(error, httpx.RemoteProtocolError):
            return _Retry(WrongAnswer(f"{host} sent an incomplete answer: {text}", path=url))
        if isinstance(error, httpx.DecodingError):
            return _Retry(WrongAnswer(f"{host} sent a body that cannot be decoded", path=url))
        return _Retry(
            Unreachable(f"{host} cannot be reached: {text}", path=url),
            attempts=CONNECTION_ATTEMPTS,
        )

    def _refuse(self, url: str, response: httpx.Response) -> None:
        """Raise _Retry or Refusal unless the response is a success."""
        status = response.status_code
        if status in {_OK, _PARTIAL}:
            return
        answered = f"{_host(response.url)} answered {status}"
        if status in _RETRIED:
            reason = self._httpx.codes.get_reason_phrase(status)
            raise _Retry(
                WrongAnswer(f"{answered} ({reason})", path=url, hint="try again later"),
                _retry_after(response.headers),
                is_quota=status == _TOO_MANY,
            )
        if self._resolved.pop(url, None):  # signed addresses expire: resolve the URL again
            raise _Retry(WrongAnswer(answered, path=url), seconds=0)
        raise Refusal(url, status, response.headers)

    def _read(self, response: httpx.Response, limit: int) -> bytes:
        """Return at most `limit` bytes of the body; the rest is not waited for."""
        chunks, count, deadline = [], 0, time.monotonic() + LONGEST_ANSWER
        # A body of exactly this length is read to its end, so that the connection can be reused.
        exact = response.headers.get("content-length") == str(limit)
        try:
            for chunk in response.iter_bytes():
                chunks.append(chunk)
                count += len(chunk)
                if count >= limit and not exact:
                    break
                if time.monotonic() > deadline:
                    raise Unreachable(
                        f"{_host(response.url)} did not finish its answer within "
                        f"{LONGEST_ANSWER:.0f} seconds",
                        path=str(response.url.copy_with(query=None)),
                    )
        finally:
            with self._lock:
                self.received += response.num_bytes_downloaded
        return b"".join(chunks)[:limit]


def _host(url: httpx.URL) -> str:
    """Return the server's name and port: other parts of an address can be secret."""
    return url.netloc.decode("ascii", "replace").rpartition("@")[2]


def _retry_after(headers: Mapping[str, str]) -> float | None:
    """Return the seconds that a server asks to wait, None if it does not say.

    huggingface_hub's own parser of this is not used: it fails on a number of 5,000 digits.
    """
    limited = re.search(r"\br=0;\s*t=(\d{1,9})", headers.get("ratelimit", ""))
    text = limited[1] if limited else headers.get("retry-after", "").strip()
    return float(text) if re.fullmatch("[0-9]{1,9}", text) else None


def _text(error: Exception) -> str:
    """Return an exception's text on one line, without an error number in brackets before it."""
    return re.sub(r"^\[[^\]]*\]\s*", "", " ".join(str(error).split())) or type(error).__name__
