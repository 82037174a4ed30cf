"""Turns what was named (WHERE) into candidates: what may be a checkpoint, and its files.

A folder or file of this machine, a name on the Hub (an owner, a collection, a bucket, a
repository), or an address that fsspec knows. Nothing is opened or downloaded: names, sizes, and
what is listed with them.
"""

from __future__ import annotations

import os
from fnmatch import fnmatchcase
from itertools import chain
from typing import TYPE_CHECKING

from ckpt_tools.audit.address_sources import at_address
from ckpt_tools.audit.discover import Found
from ckpt_tools.audit.hub_sources import HubSources
from ckpt_tools.audit.local_tree import (
    LocalTrees,
    cached_repository,
    file_state,
    owner_of,
)
from ckpt_tools.audit.model import Candidate, candidate_of
from ckpt_tools.audit.naming import printable, refusal, sentence, shown
from ckpt_tools.errors import CkptError
from ckpt_tools.storage.address import is_address
from ckpt_tools.storage.fsspec_storage import FsspecStorage, RemoteEntry
from ckpt_tools.storage.hub_name import RemoteFile
from ckpt_tools.storage.hub_storage import listed_repository
from ckpt_tools.storage.session import adopt, is_on_hub, is_remote

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from ckpt_tools.audit.model import FileState

_NOT_UTF8 = "the file name is not UTF-8; rename it"


def nothing_known(location: str, revision: str) -> bool:  # noqa: ARG001 - the signature of `known`
    """Whether the audit has this location at this revision: never."""
    return False


def ignore_notice(_: str) -> None:
    """Do nothing with a sentence for the user."""


def ignore_requests(_: int) -> None:
    """Do nothing with a number of requests."""


def candidates(
    wheres: Iterable[str],
    *,
    known: Callable[[str, str], bool] = nothing_known,
    only: Iterable[str] = (),
    notify: Callable[[str], None] = ignore_notice,
    sent: Callable[[int], None] = ignore_requests,
) -> Iterator[Candidate]:
    """Yield what may be a checkpoint at or below each of `wheres`, lazily, each location once.

    `known(location, revision)` says that the audit has that location at that revision: such a
    candidate is yielded without files, and its repository is not listed. `only` are globs of
    locations, empty for all. `notify` gets sentences for the user, such as the number of requests
    that the sources on the Hub need, before the first of them. `sent` gets how many listing took,
    at the end.

    What cannot be listed is a Candidate with `trouble`: what the audit has at or below its location
    is kept as it is, and not marked as vanished. A WHERE that does not exist is one with trouble.
    """
    named, globs = tuple(dict.fromkeys(wheres)), tuple(only)
    wanted = tuple(where for where in named if not refusal(where))

    def is_wanted(location: str) -> bool:
        return not globs or any(fnmatchcase(location, glob) for glob in globs)

    trees = LocalTrees()
    hub = HubSources(known, is_wanted, notify)
    hub.plan(where for where in wanted if is_on_hub(where))
    local = (_local(where, trees) for where in wanted if not is_remote(where))
    buckets = (at_address(where) for where in wanted if is_address(where))
    remote: Iterator[Candidate] = chain(chain.from_iterable(buckets), hub.candidates())
    if sum(map(is_remote, wanted)) > 1:
        remote = _once(remote)
    refused = (_refused(where) for where in named if refusal(where))
    for candidate in chain(refused, chain.from_iterable(local), remote):
        if is_wanted(candidate.location):
            yield candidate
    sent(hub.requests)


def _once(candidates: Iterator[Candidate]) -> Iterator[Candidate]:
    """Yield the candidates without those that another source has, too."""
    seen: set[str] = set()
    for candidate in candidates:
        if candidate.location not in seen:
            seen.add(candidate.location)
            yield candidate


def remember_listing(address: str, files: tuple[FileState, ...]) -> None:
    """Let the session read a candidate at its address without listing its files again."""
    if not files or not is_remote(address):
        return
    if is_address(address):
        storage = FsspecStorage(address)
        storage.adopt({one.path: RemoteEntry(one.size) for one in files})
        adopt(storage)
    else:
        listed = tuple(RemoteFile(one.path, one.size, one.sha256, one.etag) for one in files)
        adopt(listed_repository(address, listed))


def _refused(where: str) -> Candidate:
    name = shown(where)
    return Candidate(name, name, name, trouble=refusal(where), listed=False)


def _local(where: str, trees: LocalTrees) -> Iterator[Candidate]:
    """Yield the candidates of a local path; their locations are absolute."""
    path = os.path.abspath(where)
    if os.path.isdir(path):
        for found in trees.below(path):
            yield _candidate(where, path, found)
        return
    try:
        found = Found(path, (file_state(path),))
    except CkptError as error:
        found = Found(path, trouble=sentence(error), listed=False)
    yield _candidate(where, os.path.dirname(path), found)


def _candidate(source: str, root: str, found: Found) -> Candidate:
    """Return the candidate of a local folder or file, found by its full path below `root`."""
    path = found.path
    location = printable(path)
    repository = cached_repository(path)
    owner = repository.partition("/")[0] if repository else owner_of(path)
    name = repository or printable(path[len(root) :].strip("/") or os.path.basename(path))
    candidate = candidate_of(found, location, shown(source), owner, name)
    return candidate if location == path else candidate._replace(trouble=found.trouble or _NOT_UTF8)
