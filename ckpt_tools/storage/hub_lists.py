"""Lists on the Hub: the models of an owner, a collection, the files of a bucket.

Pages are requested one after the other; one has up to a thousand entries.
"""

from __future__ import annotations

import json
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import quote, urlencode

from ckpt_tools.errors import AccessRefused, CkptError, PathNotFound, StoreError, WrongAnswer
from ckpt_tools.storage.hub_api import commit_in
from ckpt_tools.storage.hub_client import Refusal
from ckpt_tools.storage.hub_name import is_strange

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ckpt_tools.storage.hub_client import HubClient

PAGE_LIMIT = 64 << 20
"""Bytes of JSON. A thousand models with the names of their files have about 5 MB."""

_EXPANDED = ("sha", "lastModified", "siblings", "baseModels", "gated", "disabled")


class ListedModel(NamedTuple):
    """A model of an owner: its commit and the names of its files, None where they are not told."""

    name: str
    commit: str = ""
    modified: str = ""
    paths: tuple[str, ...] | None = None
    bases: tuple[str, ...] = ()


def models_of(client: HubClient, owner: str, where: str) -> Iterator[ListedModel]:
    """Yield all models of an owner that the token may see. Raises a CkptError with `where`."""
    expanded = [("expand", name) for name in _EXPANDED]
    query = urlencode([("author", owner), ("limit", "1000"), *expanded])
    for value in _items(client, f"{client.endpoint}/api/models?{query}", where):
        name = value.get("id")
        if isinstance(name, str) and "/" in name:
            yield _model(name, value)


def collection(client: HubClient, slug: str, where: str) -> Iterator[tuple[str, str]]:
    """Yield (type, name) of what is in a collection. Raises a CkptError with `where`."""
    url = f"{client.endpoint}/api/collections/{quote(slug)}"
    with _named(where, "collection"):
        value = _parsed(client.whole(url, PAGE_LIMIT))
    items = value.get("items") if isinstance(value, dict) else None
    for item in items if isinstance(items, list) else ():
        kind, name = (item.get("type"), item.get("id")) if isinstance(item, dict) else ("", "")
        if isinstance(kind, str) and isinstance(name, str):
            yield kind, name


def _items(client: HubClient, url: str, where: str) -> Iterator[dict[str, Any]]:
    """Yield the objects in the pages of a list."""
    pages = client.pages(url, PAGE_LIMIT)
    while True:
        with _named(where, "owner"):
            body = next(pages, None)
            value = _parsed(body) if body is not None else None
        if value is None:
            return
        yield from (one for one in value if isinstance(one, dict))


@contextmanager
def _named(where: str, kind: str) -> Iterator[None]:
    """Raise the errors of a request as errors about `where`, which is a `kind`."""
    try:
        yield
    except Refusal as refusal:
        raise _refused(where, kind, refusal) from None
    except StoreError as error:
        error.path = where
        raise


def _refused(where: str, kind: str, refusal: Refusal) -> CkptError:
    if refusal.status in {401, 403}:
        return AccessRefused(
            f"the Hub denied access ({refusal.status})",
            path=where,
            hint="check the token: `hf auth whoami`",
        )
    if refusal.status in {404, 410}:
        return PathNotFound(
            f"no such {kind} on the Hub, or it is private", path=where, hint="check the spelling"
        )
    return WrongAnswer(f"the Hub answered {refusal.status}", path=where)


def _parsed(body: bytes) -> list[Any] | dict[str, Any]:
    """Return JSON that is an object or a list. Raises WrongAnswer."""
    try:
        value = json.loads(body)
    except (ValueError, RecursionError):
        value = None
    if not isinstance(value, list | dict):
        raise WrongAnswer("the Hub's answer is not the expected JSON")
    return value


def _model(name: str, value: dict[str, Any]) -> ListedModel:
    siblings, bases = value.get("siblings"), value.get("baseModels")
    bases = bases.get("models") if isinstance(bases, dict) else bases
    modified = value.get("lastModified")
    return ListedModel(
        name,
        commit_in(value.get("sha")),
        modified if isinstance(modified, str) else "",
        tuple(_names(siblings, "rfilename")) if isinstance(siblings, list) else None,
        tuple(_names(bases, "id")) if isinstance(bases, list) else (),
    )


def _names(values: list[Any], key: str) -> Iterator[str]:
    for one in values:
        name = one.get(key) if isinstance(one, dict) else one
        if isinstance(name, str) and not is_strange(name):
            yield name
