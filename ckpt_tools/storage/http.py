"""Asking a web server: ranges and whole bodies, bounded, counted and tried again.

What goes wrong comes back as errors of this package.

Knows HTTP and nothing of repositories. The session is huggingface_hub's own (proxies, certificates
and offline mode are its), handed in by `store.hub`.
"""

from __future__ import annotations

import re
import threading
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, NamedTuple

from ckpt_tools.errors import StoreError, Unreachable, WrongAnswer

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

TRIES = 4
LONGEST_WAIT = 60.0
"""Seconds. A server that asks for more patience is not waited for."""

LONGEST_ANSWER = 300.0
"""Seconds for one answer from its first byte to its last, however steadily it drips."""

HOPS = 10
SKIPPED = 1 << 20
"""Bytes before a range that are read and dropped where a server ignores ranges.

More would be a download.
"""

_SMALL = 1 << 16

_AGAIN = frozenset({408, 429, 500, 502, 503, 504})
_REDIRECTS = frozenset({301, 302, 303, 307, 308})

pause = time.sleep


class Refusal(StoreError):
    """A status that is no success; who asked knows what it means.

    `code` and `said` are the Hub's own words, "" where there are none.
    """

    def __init__(self, url: str, status: int, headers: Mapping[str, str]) -> None:
        super().__init__(f"answered {status}", path=url)
        self.status = status
        self.code = headers.get("x-error-code", "")
        self.said = " ".join(headers.get("x-error-message", "").split())


class _Again(Exception):
    """An attempt failed and another may not.

    `error` is what is raised after `tries` of them, `seconds` what the server asks to wait.
    """

    def __init__(self, error: StoreError, seconds: float | None = None, tries: int = TRIES) -> None:
        super().__init__()
        self.error = error
        self.seconds = seconds
        self.tries = tries


class Client(NamedTuple):
    """The session and its library, and what is sent to the Hub itself.

    Headers with the token, which no other server gets.
    """

    session: Any
    httpx: Any
    offline_error: type[Exception]
    endpoint: str
    headers: Mapping[str, str]
    seconds: float

    @property
    def has_token(self) -> bool:
        """Whether requests to the Hub say who asks."""
        return any(name.lower() == "authorization" for name in self.headers)


class Wire:
    """Requests through one client, counted. Threads may share it."""

    def __init__(self, client: Client) -> None:
        self.client = client
        self.requests = 0
        self.received = 0
        self._lock = threading.Lock()
        self._arrived: dict[str, str] = {}

    def whole(self, url: str, limit: int) -> bytes:
        """Return the body at `url`.

        Raises Refusal, Unreachable, or WrongAnswer, also for more than `limit` bytes.
        """
        return self._tried(url, lambda: self._whole(url, limit))

    def range(self, url: str, start: int, end: int, size: int) -> bytes:
        """Return the bytes from `start` to `end`, which is exclusive, of the file of `size` bytes at `url`. Raises as `whole` does.

        Where redirects lead is remembered, so that the next range of the same file goes there
        straight.
        """
        if start >= end:
            return b""
        return self._tried(url, lambda: self._range(url, start, end, size))

    def _tried(self, url: str, attempt: Any) -> bytes:  # noqa: ANN401 - a function without parameters that returns bytes
        wait = 0.5
        for tried in range(1, TRIES + 1):
            try:
                data: bytes = attempt()
            except _Again as again:
                seconds = wait if again.seconds is None else again.seconds
                if seconds > LONGEST_WAIT:
                    again.error.what = again.error.what.replace(
                        f" {TRIES} times", "" if tried == 1 else f" {tried} times"
                    )
                    again.error.next = (
                        f"it asks for {seconds:,.0f} seconds of patience: try again after that"
                    )
                    raise again.error from None
                if tried >= again.tries:
                    raise again.error from None
            else:
                return data
            pause(seconds)
            wait *= 2
        raise AssertionError(url)  # the last attempt returns or raises

    def _whole(self, url: str, limit: int) -> bytes:
        with self._opened(url, {}) as response:
            if response.status_code != 200:  # noqa: PLR2004 - OK
                raise WrongAnswer(
                    f"{_host(response)} answered {response.status_code} instead of 200", path=url
                )
            body = self._read(response, limit + 1)
            if len(body) > limit:
                raise WrongAnswer(
                    f"{_host(response)} answered with more than the {limit:,} bytes that such an answer may have",
                    path=url,
                )
            return body

    def _range(self, url: str, start: int, end: int, size: int) -> bytes:
        part = {} if (start, end) == (0, size) else {"Range": f"bytes={start}-{end - 1}"}
        asked = {"Accept-Encoding": "identity", **part}
        with self._opened(url, asked) as response:
            status, said = response.status_code, response.headers.get("content-range", "")
            if response.headers.get("content-encoding", "identity") != "identity":
                raise WrongAnswer(
                    f"{_host(response)} answered with a compressed body, which was not asked for",
                    path=url,
                )
            if status == 206 and said != f"bytes {start}-{end - 1}/{size}":  # noqa: PLR2004 - Partial Content
                raise _Again(
                    WrongAnswer(
                        f"{_host(response)} answered with {said or 'no Content-Range'} to a request for bytes {start}-{end - 1} of {size}",
                        path=url,
                    )
                )
            skipped = 0 if status == 206 else start  # noqa: PLR2004 - Partial Content; all else is the whole file
            if skipped > SKIPPED:
                raise WrongAnswer(
                    f"{_host(response)} sends the whole file where bytes {start}-{end - 1} are asked for",
                    path=url,
                    hint="what is on the way to the Hub serves no ranges: download it with `hf download`",
                )
            body = self._read(response, skipped + end - start)[skipped:]
        if len(body) != end - start:
            raise _Again(
                WrongAnswer(
                    f"{_host(response)} sent {len(body):,} bytes of the {end - start:,} that were asked for",
                    path=url,
                )
            )
        return body

    @contextmanager
    def _opened(self, url: str, headers: Mapping[str, str]) -> Iterator[Any]:
        """Yield the answer where redirects end.

        The token stays with the Hub, and so do we with https.
        """
        httpx = self.client.httpx
        place = self._arrived.get(url, url)
        try:
            for _ in range(HOPS):
                with self._asked(place, headers) as response:
                    if response.status_code not in _REDIRECTS:
                        self._refuse(url, place, response)
                        self._arrived[url] = place
                        yield response
                        return
                    self._read(
                        response, _SMALL
                    )  # a connection whose answer was read serves the next request
                    place = self._next(url, place, response)
        except self.client.offline_error:
            raise Unreachable(
                "the Hub is not asked: HF_HUB_OFFLINE is set",
                path=url,
                hint="unset it, or download what you want to read before",
            ) from None
        except (httpx.HTTPError, httpx.InvalidURL, ValueError) as error:
            raise self._failure(error, url, place) from None
        raise WrongAnswer(
            f"{self.named(url)} leads from one place to the next more than {HOPS} times", path=url
        )

    def _failure(self, error: Exception, url: str, place: str) -> _Again | Unreachable:
        """Return what is raised for an attempt that `error` ended at the address `place`."""
        httpx = self.client.httpx
        if isinstance(error, httpx.InvalidURL | httpx.LocalProtocolError) or not isinstance(
            error, httpx.HTTPError
        ):
            # The words of the latter quote what was to be sent, which may be the token.
            words = (
                _words(error)
                if isinstance(error, httpx.InvalidURL)
                else "what is to be sent is no valid header or address"
            )
            return Unreachable(
                f"the Hub cannot be asked: {words}",
                path=url,
                hint="check HF_ENDPOINT, HF_TOKEN and the proxy settings",
            )
        host = self.named(place)
        if isinstance(error, httpx.TimeoutException):
            return _Again(
                Unreachable(f"{host} gave no answer in {self.client.seconds:.0f} seconds", path=url)
            )
        if isinstance(error, httpx.RemoteProtocolError):
            return _Again(WrongAnswer(f"{host} broke off its answer: {_words(error)}", path=url))
        if isinstance(error, httpx.DecodingError):
            return _Again(
                WrongAnswer(f"{host} answered with a body that cannot be unpacked", path=url)
            )
        return _Again(Unreachable(f"{host} cannot be reached: {_words(error)}", path=url), tries=2)

    def _asked(self, place: str, headers: Mapping[str, str]) -> Any:  # noqa: ANN401 - httpx's context of a response
        with self._lock:
            self.requests += 1
        known = (
            self.client.headers
            if _origin(self.client, place) == _origin(self.client, self.client.endpoint)
            else {}
        )
        return self.client.session.stream(
            "GET",
            place,
            headers={**known, **headers},
            follow_redirects=False,
            timeout=self.client.seconds,
        )

    def named(self, place: str) -> str:
        """Return the server of an address.

        Addresses themselves may be signed, and whoever has one may use it.
        """
        return str(
            self.client.httpx.URL(place).netloc.decode("ascii", "replace").rpartition("@")[2]
        )

    def _next(self, url: str, place: str, response: Any) -> str:  # noqa: ANN401 - an httpx.Response
        here = self.client.httpx.URL(place)
        target = here.join(response.headers.get("location", ""))
        if target.scheme not in ("https", here.scheme) or not target.host:
            raise WrongAnswer(
                f"{_host(response)} leads on to {target.scheme}:, where nobody should follow",
                path=url,
            )
        return str(target)

    def _refuse(self, url: str, place: str, response: Any) -> None:  # noqa: ANN401 - as above
        status = response.status_code
        if status in (200, 206):
            return
        if status in _AGAIN:
            said = "too many requests (429)" if status == 429 else f"an error of its own ({status})"  # noqa: PLR2004 - Too Many Requests
            raise _Again(
                WrongAnswer(
                    f"{_host(response)} answered {TRIES} times with {said}",
                    path=url,
                    hint="try again later",
                ),
                _patience(response.headers),
            )
        if place != url and self._arrived.pop(url, None) is not None:
            raise _Again(
                WrongAnswer(
                    f"{_host(response)} answered {status} at the address that was good before",
                    path=url,
                ),
                0,
            )  # signed addresses expire
        raise Refusal(url, status, response.headers)

    def _read(self, response: Any, enough: int) -> bytes:  # noqa: ANN401 - as above
        """Return the body as far as `enough` bytes.

        What comes after is neither waited for nor kept.
        """
        chunks: list[bytes] = []
        have, until = 0, time.monotonic() + LONGEST_ANSWER
        ends_there = response.headers.get("content-length") == str(
            enough
        )  # then its end is waited for, and the connection kept
        try:
            for chunk in response.iter_bytes():
                chunks.append(chunk)
                have += len(chunk)
                if have >= enough and not ends_there:
                    break
                if time.monotonic() > until:
                    raise Unreachable(
                        f"{_host(response)} did not finish its answer in {LONGEST_ANSWER:.0f} seconds",
                        path=str(response.url.copy_with(query=None)),
                    )
        finally:
            with self._lock:
                self.received += response.num_bytes_downloaded
        return b"".join(chunks)[:enough]


def _host(response: Any) -> str:  # noqa: ANN401 - an httpx.Response
    return str(response.url.netloc.decode("ascii", "replace").rpartition("@")[2])


def _origin(client: Client, url: str) -> tuple[str, str, int | None]:
    parsed = client.httpx.URL(url)
    return parsed.scheme, parsed.host, parsed.port


def _patience(headers: Mapping[str, str]) -> float | None:
    """Return the seconds that a server asks to wait, None where it asks for none."""
    limited = re.search(r"\br=0;\s*t=(\d{1,9})", headers.get("ratelimit", ""))
    asked = limited[1] if limited else headers.get("retry-after", "").strip()
    return float(asked) if re.fullmatch("[0-9]{1,9}", asked) else None


def _words(error: Exception) -> str:
    """Return an exception's words on a line, without the numbers in brackets that systems put before them."""
    return re.sub(r"^\[[^\]]*\]\s*", "", " ".join(str(error).split())) or type(error).__name__
