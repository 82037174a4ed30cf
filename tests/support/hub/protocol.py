"""How the Hub finds its answers.

Endpoints by method and path, and who may do what with which repository.
"""

from __future__ import annotations

import re
import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING
from urllib.parse import unquote

from tests.support.hub.messages import Answer, Refused, Request

if TYPE_CHECKING:
    from tests.support.hub.repository import Repository, Upload

TOKEN = "hf_" + 34 * "x"
USER = "tester"

type At = Mapping[str, str]
"""What an endpoint's path names: kind, name, revision, path."""
type Endpoint = Callable[[Protocol, Request, At], Answer]

NAME = "(?P<name>[^/]+/[^/]+)"
REPO = f"(?P<kind>datasets/|spaces/|){NAME}"
API = f"/api/(?P<kind>models|datasets|spaces)/{NAME}"
REVISION = "(?P<revision>[^/]+)"


class Endpoints(list[tuple[str, re.Pattern[str], Endpoint]]):
    """A table of endpoints, written as decorators: `@endpoint("GET", path)`."""

    def __call__(self, method: str, path: str) -> Callable[[Endpoint], Endpoint]:
        def enter(function: Endpoint) -> Endpoint:
            self.append((method, re.compile(path), function))
            return function

        return enter


@dataclass(frozen=True)
class Limits:
    """Sizes from which a file is LFS and above which it comes in parts, and entries of a page."""

    lfs_threshold: int
    part_size: int
    page_size: int


@dataclass
class Protocol:
    """The Hub without its wires: from a request to an answer.

    A ticket in an upload's address stands for the signature of a storage's URL.
    """

    endpoint: str
    storage: str
    limits: Limits
    endpoints: list[tuple[str, re.Pattern[str], Endpoint]]
    repositories: dict[str, Repository] = field(default_factory=dict)
    collections: dict[str, tuple[tuple[str, str], ...]] = field(default_factory=dict)
    buckets: dict[str, dict[str, bytes]] = field(default_factory=dict)
    uploads: dict[str, Upload] = field(default_factory=dict)
    etags: dict[str, str] = field(default_factory=dict)
    signature: str = field(default_factory=lambda: secrets.token_hex(8))

    def answer(self, request: Request) -> Answer:
        """The answer to a request; HEAD is answered like GET."""
        method = "GET" if request.method == "HEAD" else request.method
        for expected, path, function in self.endpoints:
            found = path.fullmatch(request.path)
            if found and expected == method:
                try:
                    return function(
                        self,
                        request,
                        {name: unquote(value or "") for name, value in found.groupdict().items()},
                    )
                except Refused as refused:
                    return refused.answer
        return Refused(404, f"The stand-in knows no {request.method} {request.path}").answer

    def open(
        self, request: Request, at: At, *, files: bool = False, write: bool = False
    ) -> Repository:
        """The repository of a request, or why it may not be seen, read (`files`) or written."""
        known = signed_in(request)
        kind = at["kind"].rstrip("/")
        repository = self.repositories.get(
            at["name"] if kind in {"", "models"} else f"{kind}/{at['name']}"
        )
        if repository is None or (repository.private and not known):
            raise Refused(404 if known else 401, "Repository not found", "RepoNotFound")
        if write:
            checked(request)
        if files and repository.gated:
            why = (
                "you are not in the authorized list"
                if known
                else "you must be authenticated to access it"
            )
            raise Refused(
                403 if known else 401,
                f"Access to model {repository.name} is restricted and {why}.",
                "GatedRepo",
            )
        return repository


def signed_in(request: Request) -> bool:
    """Whether the request carries the token; refused with another one."""
    if request.token not in {None, TOKEN}:
        raise Refused(401, "Invalid credentials in Authorization header")
    return request.token == TOKEN


def checked(request: Request) -> None:
    """Refuse who comes without the token."""
    if not signed_in(request):
        raise Refused(401, "Invalid username or password.")
