"""What a probe must not do: use the network, run code of a checkpoint, unpickle, grow endlessly.

The config that a model is built from is a stranger's. All of this holds for the rest of the
process, so it is called before any library is imported.
"""

from __future__ import annotations

import resource
import signal
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import huggingface_hub
from huggingface_hub import file_download

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

MOST_MEMORY = 8 << 30
"""Bytes of data of a process that builds models without weights; the libraries take 2 GB."""

_NETWORK = frozenset(
    ("socket.connect", "socket.getaddrinfo", "socket.gethostbyname", "socket.sendto")
)
_DOWNLOADS = ("hf_hub_download", "snapshot_download")

REMOTE_CODE = "its classes are code in the repository (auto_map), which is never run here"
"""The sentence about a model with code of its own."""

missing: dict[str, BaseException] = {}
"""What was not on this machine: names on the Hub or paths, with the last error about each."""

used: set[str] = set()
"""Files of other models that were read."""


class RefusedError(Exception):
    """The config asks for something that is not done; the message is a sentence's end."""


def isolate(*, most_memory: int | None) -> None:
    """Refuse the network and pickles, limit memory, and note which files of the Hub are used."""
    if most_memory is not None:
        hard = resource.getrlimit(resource.RLIMIT_DATA)[1]
        limit = most_memory if hard == resource.RLIM_INFINITY else min(most_memory, hard)
        resource.setrlimit(resource.RLIMIT_DATA, (limit, hard))
    sys.addaudithook(_refuse)
    _note_downloads()


def _refuse(event: str, _arguments: object) -> None:
    if event in _NETWORK:
        raise ConnectionError("a probe does not use the network")
    if event == "pickle.find_class":
        raise RefusedError("it would be read from a pickle, which is never done")


def _note_downloads() -> None:
    """Note what is asked of the Hub, before libraries import the functions by name."""
    for name in _DOWNLOADS:
        noted = _noted(getattr(huggingface_hub, name))
        setattr(huggingface_hub, name, noted)
        if hasattr(file_download, name):
            setattr(file_download, name, noted)


def _noted(download: Callable[..., Any]) -> Callable[..., Any]:
    def asked(*positional: Any, **options: Any) -> Any:
        name = str(options.get("repo_id", positional[0] if positional else ""))
        try:
            found = download(*positional, **options)
        except Exception as error:
            missing[name] = error
            raise
        used.add(str(found))
        return found

    return asked


def missing_in(error: BaseException) -> str:
    """Return the name of the model without which `error` was raised, "" for another reason."""
    chain = _chain(error)
    found = [name for name, cause in missing.items() if cause in chain]
    if found or not any(isinstance(one, OSError) for one in chain):
        return found[-1] if found else ""
    said = str(error)
    return next((name for name in missing if name and name in said), "")


def refusal_in(error: BaseException) -> str:
    """Return the sentence with which this process refused something, "" if it did not."""
    for one in _chain(error):
        if isinstance(one, RefusedError):
            return str(one)
        if "trust_remote_code" in str(one):
            return REMOTE_CODE
    return ""


def _chain(error: BaseException) -> list[BaseException]:
    chain: list[BaseException] = []
    one: BaseException | None = error
    while one is not None and one not in chain:
        chain.append(one)
        one = one.__cause__ or one.__context__
    return chain


@contextmanager
def seconds(limit: int) -> Iterator[None]:
    """Raise RefusedError in a block that computes longer; waiting for a busy machine is free."""

    def late(*_: object) -> None:
        raise RefusedError(f"building it takes more than {limit} seconds")

    signal.signal(signal.SIGPROF, late)
    signal.setitimer(signal.ITIMER_PROF, limit)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
