"""Names on the Hub as sources of an audit: what an owner, a collection or a repository has.

A page of an owner's list tells the commit and the file names of up to a thousand models. Only a
repository at another commit than before is listed, with one request.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NamedTuple

from ckpt_tools.audit.discover import FlatTree, Found, walk
from ckpt_tools.audit.model import Candidate, FileState
from ckpt_tools.audit.naming import sentence, shown
from ckpt_tools.checkpoint.documents import DOCUMENTS
from ckpt_tools.checkpoint.shard_index import INDEX_SUFFIX
from ckpt_tools.errors import CkptError
from ckpt_tools.storage.hub_api import refuse_empty, repository
from ckpt_tools.storage.hub_client import HubClient
from ckpt_tools.storage.hub_lists import ListedModel, collection, models_of
from ckpt_tools.storage.hub_name import SCHEME, is_hub_name, parse
from ckpt_tools.storage.hub_quota import QuotaWait, waiting_out
from ckpt_tools.storage.threads import ahead
from ckpt_tools.text import count

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from ckpt_tools.storage.hub_name import Repository

THREADS = 8
"""Repositories that are listed at a time."""

_OWNER = re.compile(r"hf://(?:models/)?([^/@]+)/?")
_COLLECTION = re.compile(r"hf://collections/([^/]+/[^/]+?)/?")
_FILES_GUESSED = 3
"""Files that rules read of a repository whose files are not known: weights and two configs."""

_PER_FILE = 2
"""Requests for a file: one to the Hub, which redirects to where the content is."""


class _Planned(NamedTuple):
    """A repository to list, or one that need not be: `found` is what it has then.

    `location` is its name as candidates have it, with a revision only if one was named; `model` is
    what the list of its owner says.
    """

    location: str
    model: ListedModel
    requests: int
    found: tuple[Found, ...] | None = None


class HubSources:
    """What an audit finds on the Hub. `plan` is called first, with all of its names.

    `known`, `is_wanted` and `notify` are those of `sources.candidates`.
    """

    def __init__(
        self,
        known: Callable[[str, str], bool],
        is_wanted: Callable[[str], bool],
        notify: Callable[[str], None],
    ) -> None:
        self._known = known
        self._is_wanted = is_wanted
        self._notify = notify
        self._planned: dict[str, list[_Planned]] = {}
        self._troubles: dict[str, str] = {}
        self._quota = quota_wait(notify)
        self._client: HubClient | None = None

    @property
    def requests(self) -> int:
        """How many were sent to the Hub."""
        return self._client.requests if self._client else 0

    def plan(self, wheres: Iterable[str]) -> None:
        """List the models of owners and collections, and say how many requests are needed."""
        planned: set[str] = set()
        for where in wheres:
            try:
                every = [one for one in self._of(where) if one.location not in planned]
                planned.update(one.location for one in every)
                self._planned[where] = every
            except CkptError as error:
                self._troubles[where] = sentence(error)
        every = [one for several in self._planned.values() for one in several]
        if self._planned:
            needed = sum(one.requests for one in every)
            about = f"about {count(needed, 'request')}" if needed else "unchanged"
            self._notify(f"{count(len(every), 'model')} on the Hub: {about}")

    def candidates(self) -> Iterator[Candidate]:
        """Yield what is found at the planned names, several repositories being listed at a time."""
        for where, trouble in self._troubles.items():
            name = shown(where)
            yield Candidate(name, name, name, trouble=trouble, listed=False)
        every = (
            (where, planned) for where in [*self._planned] for planned in self._planned.pop(where)
        )
        for where, found in ahead(self._at, every, THREADS):
            for one in found:
                yield one._replace(source=where)

    def _at(self, planned: tuple[str, _Planned]) -> tuple[str, list[Candidate]]:
        return planned[0], self._listed(planned[1])

    def _of(self, where: str) -> Iterator[_Planned]:
        """Yield the repositories of a name, those without anything that is wanted left out."""
        if match := _COLLECTION.fullmatch(where):
            for kind, name in collection(self._hub(), match[1], where):
                if kind == "model" and "/" in name:
                    yield _unlisted(f"{SCHEME}{name}")
        elif match := _OWNER.fullmatch(where):
            for model in models_of(self._hub(), match[1], where):
                planned = self._planned_model(model)
                if planned.found is None or planned.found:
                    yield planned
        else:
            parse(where)
            yield _unlisted(where.rstrip("/") if is_hub_name(where) else f"{SCHEME}{where}")

    def _hub(self) -> HubClient:
        """Return the client of all requests, which waits for the quota."""
        if self._client is None:
            with waiting_out(self._quota):
                self._client = HubClient()
        return self._client

    def _planned_model(self, model: ListedModel) -> _Planned:
        """Return what is to be done about a model, by its commit and the names of its files."""
        location = f"{SCHEME}{model.name}"
        if model.paths is None:
            return _unlisted(location)._replace(model=model)
        names = tuple(FileState(path, 0) for path in model.paths)
        found = tuple(
            one for one in walk(FlatTree(names)) if self._is_wanted(_below(location, one.path))
        )
        model = model._replace(paths=None)  # an owner can have a hundred thousand models
        unknown = [
            one
            for one in found
            if not one.trouble and not self._known(_below(location, one.path), model.commit)
        ]
        if not unknown:
            unlisted = tuple(one._replace(files=()) for one in found)
            return _Planned(location, model, 0, unlisted)
        files = sum(_is_read(file.path) for one in unknown for file in one.files)
        return _Planned(location, model, 1 + _PER_FILE * files)

    def _listed(self, planned: _Planned) -> list[Candidate]:
        """Return the candidates of a repository, which is listed unless that is not needed."""
        location, model = planned.location, planned.model
        if planned.found is not None:
            return [_candidate(location, model, one) for one in planned.found]
        at = f"@{model.commit}" * bool(model.commit)
        try:
            listed = repository(f"{location}{at}", self._hub())
            refuse_empty(listed)
        except CkptError as error:
            gone = Candidate(location, "", location, owner=_owner(location), listed=False)
            return [gone._replace(name=parse(location).repository, trouble=sentence(error))]
        model = model._replace(name=listed.name, commit=listed.commit)
        states = _states(listed)
        is_file = any(one.path == listed.path for one in listed.files)
        found = (Found("", states),) if is_file else walk(FlatTree(states))
        return [_candidate(location, model, one) for one in found]


def quota_wait(notify: Callable[[str], None]) -> QuotaWait:
    """Return a wait for the Hub that is said in a sentence."""
    return QuotaWait(
        lambda seconds: notify(f"the Hub's quota is used up: waiting {seconds:,.0f} seconds")
    )


def _unlisted(location: str) -> _Planned:
    return _Planned(location, ListedModel(""), 1 + _PER_FILE * _FILES_GUESSED)


def _states(listed: Repository) -> tuple[FileState, ...]:
    """Return the files of a repository, or below what was named in it."""
    return tuple(
        FileState(one.path, one.size, etag=one.blob_id, sha256=one.sha256) for one in listed.below
    )


def _candidate(location: str, model: ListedModel, found: Found) -> Candidate:
    """Return the candidate of what is found in a repository, at its commit."""
    at = _below(location, found.path)
    name = parse(at)
    repository_at = f"{SCHEME}{name.repository}@{model.commit}"
    return Candidate(
        at,
        "",
        _below(repository_at, name.path) if model.commit else at,
        found.files,
        model.commit,
        _owner(location),
        _below(name.repository, name.path),
        model.modified,
        model.bases,
        found.trouble,
    )


def _owner(location: str) -> str:
    return parse(location).repository.partition("/")[0]


def _below(location: str, path: str) -> str:
    return f"{location}/{path}" if path else location


def _is_read(path: str) -> bool:
    """Whether rules read a file of a checkpoint, not only its name and size."""
    name = path.rpartition("/")[2]
    return name.endswith((".safetensors", INDEX_SUFFIX)) or name in DOCUMENTS
