"""What goes over the wire.

Requests, answers, parts of files by Range, and the record of every exchange.
"""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Any, overload
from urllib.parse import parse_qsl

NONE: Mapping[str, str] = MappingProxyType({})


class Refused(Exception):
    """What is answered instead.

    A status, a sentence, and the code from which the client makes its exception.
    """

    def __init__(
        self, status: int, message: str, code: str = "", headers: Mapping[str, str] = NONE
    ) -> None:
        super().__init__(message)
        self.answer = answer_json(
            {"error": message},
            status,
            {"X-Error-Message": message, **({"X-Error-Code": code} if code else {}), **headers},
        )


@dataclass(frozen=True)
class Request:
    """A request as it came in, the names of its headers in lower case."""

    method: str
    target: str
    headers: Mapping[str, str]
    body: bytes = b""

    @property
    def path(self) -> str:
        """The path as sent, without its query."""
        return self.target.partition("?")[0]

    @property
    def query(self) -> dict[str, str]:
        return dict(parse_qsl(self.target.partition("?")[2], keep_blank_values=True))

    @property
    def token(self) -> str | None:
        """The bearer token, or None for who comes without."""
        kind, _, token = self.headers.get("authorization", "").partition(" ")
        return token if kind.lower() == "bearer" else None

    @property
    def json(self) -> Any:
        """The body as JSON; refused where it is none."""
        return parse(self.body)


def parse(text: bytes) -> Any:
    """JSON; refused where it is none."""
    try:
        return json.loads(text)
    except ValueError as error:
        raise Refused(400, f"This is no JSON: {error}") from error


@dataclass(frozen=True)
class Answer:
    """An answer.

    `file`: its body is a file's content, of which Range may ask a part. `closes`: the connection
    ends after `sent` of the body.
    """

    status: int = 200
    headers: Mapping[str, str] = NONE
    body: bytes = b""
    file: bool = False
    closes: bool = False

    def with_header(self, name: str, value: str) -> Answer:
        """The same answer with this header instead or besides."""
        return replace(self, headers={**self.headers, name: value})


def answer_json(value: Any, status: int = 200, headers: Mapping[str, str] = NONE) -> Answer:
    """An answer in JSON."""
    return Answer(
        status,
        {"Content-Type": "application/json; charset=utf-8", **headers},
        json.dumps(value).encode(),
    )


def redirect(where: str, status: int = 302, headers: Mapping[str, str] = NONE) -> Answer:
    """A redirect, with the few words that the Hub sends along."""
    return Answer(
        status,
        {"Content-Type": "text/plain; charset=utf-8", "Location": where, **headers},
        f"Redirecting to {where}".encode(),
    )


def part(whole: Answer, asked: str | None) -> Answer:
    """The part of a file that a Range header asks for.

    206, or 416 outside of the file, or the whole where the header asks for nothing that is served.
    """
    size = len(whole.body)
    found = re.fullmatch(r"bytes=(\d*)-(\d*)", asked.strip()) if asked else None
    if not whole.file or whole.status != 200 or not found or not any(found.groups()):
        return whole
    first, last = found.groups()
    start = int(first) if first else max(size - int(last), 0)
    end = min(int(last), size - 1) if first and last else size - 1
    if first and last and int(last) < start:
        return whole
    if start >= size:
        return Answer(
            416,
            {"Content-Type": "application/xml", "Content-Range": f"bytes */{size}"},
            b"<Error><Code>InvalidRange</Code></Error>",
        )
    return replace(whole, status=206, body=whole.body[start : end + 1]).with_header(
        "Content-Range", f"bytes {start}-{end}/{size}"
    )


@dataclass
class Record:
    """One exchange. `sent` counts the body's bytes as they go out, `received` the request's."""

    method: str
    path: str
    status: int
    range: str | None
    host: str
    authorized: bool
    agent: str
    received: int
    sent: int = 0


class Records(Sequence[Record]):
    """The exchanges so far, in the order in which they were answered."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._records: list[Record] = []

    @overload
    def __getitem__(self, at: int) -> Record: ...
    @overload
    def __getitem__(self, at: slice) -> list[Record]: ...
    def __getitem__(self, at: int | slice) -> Record | list[Record]:
        with self._lock:
            return self._records[at]

    def __len__(self) -> int:
        return len(self._records)

    def __iter__(self) -> Iterator[Record]:
        return iter(self[:])

    def append(self, record: Record) -> None:
        with self._lock:
            self._records.append(record)

    def clear(self) -> None:
        with self._lock:
            self._records.clear()

    def of(self, method: str = "", path_contains: str = "") -> list[Record]:
        """The exchanges with this method, where one is given, whose path and query contain this."""
        return [
            record
            for record in self
            if method in ("", record.method) and path_contains in record.path
        ]
