"""The ways in which the stand-in misbehaves when a test tells it to."""

from __future__ import annotations

import gzip
import threading
from dataclasses import dataclass, replace
from enum import Enum
from typing import TYPE_CHECKING
from urllib.parse import quote

from tests.support.hub.messages import Answer, Refused, answer_json, redirect

if TYPE_CHECKING:
    from tests.support.hub.messages import Request

HOPS = 3


class Fault(Enum):
    """One way to misbehave, and what a client sees of it."""

    SHORT_READ = "a truthful Content-Length, half of the body, and a closed connection"
    IGNORES_RANGE = "200 with the whole file to a request for a range"
    WRONG_LENGTH = (
        "one byte less than there is, with a Content-Length that agrees with what is sent, not"
        " with the file or its Content-Range"
    )
    WRONG_RANGE = "206 with the right bytes and a Content-Range one byte too far"
    WRONG_BYTES = "the right number of bytes, the one in the middle flipped"
    REDIRECT_LOOP = "a redirect into a circle of redirects"
    EXTRA_REDIRECTS = "three relative redirects on the way to what was asked"
    LEADS_ASTRAY = "a redirect to a file of the client's own machine"
    COMPRESSED = "the body, packed with gzip, though nobody asked for that"
    HTML = "200 with a page for people, as proxies and logins send it"
    OTHER_JSON = "200 with JSON that is not what was asked for"
    TOO_MANY_REQUESTS = "429 with Retry-After"
    SERVER_ERROR = "500"
    UNAVAILABLE = "503"
    SLOW = "the right answer, after some seconds"


STATUS = {Fault.TOO_MANY_REQUESTS: 429, Fault.SERVER_ERROR: 500, Fault.UNAVAILABLE: 503}
INSTEAD = {
    Fault.LEADS_ASTRAY: redirect("file:///etc/hostname"),
    Fault.HTML: Answer(
        200, {"Content-Type": "text/html"}, b"<!doctype html><title>Sign in</title>"
    ),
    Fault.OTHER_JSON: answer_json({"sha": "main", "siblings": []}),
}
BEFORE = {*STATUS, *INSTEAD, Fault.REDIRECT_LOOP, Fault.EXTRA_REDIRECTS, Fault.SLOW}
"""The faults that keep the request from being served, or not yet: nothing it asks for is done."""


@dataclass
class Armed:
    """A fault that waits for its requests."""

    fault: Fault
    left: int
    path_contains: str
    method: str
    seconds: float

    def meets(self, request: Request) -> bool:
        """Whether the fault is for this request.

        Who arrives after a detour is not sent on another.
        """
        arrived = "detoured" in request.query and self.fault in {
            Fault.REDIRECT_LOOP,
            Fault.EXTRA_REDIRECTS,
        }
        return (
            self.left > 0
            and self.path_contains in request.target
            and self.method in ("", request.method)
            and not arrived
        )


class Faults:
    """The faults to come, each for as many requests as it was armed for."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._armed: list[Armed] = []
        self.stopped = threading.Event()

    def arm(self, armed: Armed) -> None:
        with self._lock:
            self._armed.append(armed)

    def clear(self) -> None:
        with self._lock:
            self._armed.clear()

    def take(self, request: Request, *faults: Fault) -> Armed | None:
        """The first of these faults that is armed for this request, which uses it up once."""
        with self._lock:
            found = next(
                (armed for armed in self._armed if armed.fault in faults and armed.meets(request)),
                None,
            )
            if found:
                found.left -= 1
            return found

    def instead(self, request: Request) -> Answer | None:
        """What is answered before the request is served, or None to serve it.

        Being slow comes on top of any other fault.
        """
        if slow := self.take(request, Fault.SLOW):
            self.stopped.wait(slow.seconds)
        armed = detour(request) or self.take(request, *BEFORE - {Fault.SLOW})
        if armed is None or isinstance(armed, Answer):
            return armed
        if armed.fault in INSTEAD:
            return INSTEAD[armed.fault]
        if armed.fault is Fault.REDIRECT_LOOP:
            return redirect("/detour/loop")
        if armed.fault is Fault.EXTRA_REDIRECTS:
            return redirect(f"/detour/{HOPS - 1}?to={quote(request.target, safe='')}")
        wait = (
            {"Retry-After": str(int(armed.seconds))}
            if armed.fault is Fault.TOO_MANY_REQUESTS
            else {}
        )
        return Refused(STATUS[armed.fault], armed.fault.value, headers=wait).answer

    def spoil(self, request: Request, whole: Answer, right: Answer) -> Answer:
        """The answer as it goes out, given the right one and the file that it is a part of."""
        if right is not whole and self.take(request, Fault.IGNORES_RANGE):
            return whole
        if right.status not in {200, 206} or not right.body or request.method == "HEAD":
            return right
        if right.status == 206 and self.take(request, Fault.WRONG_RANGE):
            start, end, size = (
                right.headers["Content-Range"].removeprefix("bytes ").replace("-", "/").split("/")
            )
            return right.with_header(
                "Content-Range", f"bytes {int(start) + 1}-{int(end) + 1}/{size}"
            )
        armed = self.take(
            request, Fault.SHORT_READ, Fault.WRONG_LENGTH, Fault.WRONG_BYTES, Fault.COMPRESSED
        )
        return spoiled(right, armed.fault) if armed else right


def spoiled(right: Answer, fault: Fault) -> Answer:
    """An answer whose body is not what it should be."""
    middle = len(right.body) // 2
    if fault is Fault.SHORT_READ:
        return replace(right, body=right.body[:middle], closes=True).with_header(
            "Content-Length", str(len(right.body))
        )
    if fault is Fault.COMPRESSED:
        return replace(right, body=gzip.compress(right.body)).with_header(
            "Content-Encoding", "gzip"
        )
    if fault is Fault.WRONG_LENGTH:
        return replace(right, body=right.body[:-1])
    return replace(
        right,
        body=right.body[:middle] + bytes([right.body[middle] ^ 255]) + right.body[middle + 1 :],
    )


def detour(request: Request) -> Answer | None:
    """The next redirect for who is on a detour already."""
    step = request.path.removeprefix("/detour/")
    if step == request.path:
        return None
    if not step.isdigit():
        return redirect("/detour/again" if step == "loop" else "/detour/loop")
    to = request.query["to"]
    if int(step) > 1:
        return redirect(f"/detour/{int(step) - 1}?to={quote(to, safe='')}")
    return redirect(f"{to}{'&' if '?' in to else '?'}detoured=1")
