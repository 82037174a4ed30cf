"""Folders that may contain a checkpoint: in a run, in a cache, below a folder. Opens no weights."""

from __future__ import annotations

import os
from contextlib import suppress
from itertools import islice
from typing import TYPE_CHECKING

from ckpt_tools.errors import Unreadable
from ckpt_tools.storage.storage import LOCAL

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ckpt_tools.storage.storage import Storage

_COMMIT_LIMIT = 1024


def candidates(where: str, storage: Storage = LOCAL) -> Iterator[str]:
    """Yield the folders that may contain the weights, best first.

    The folder itself, a LeRobot step, the steps of a LeRobot run, a Hugging Face cache.
    """
    yield where
    checkpoints = os.path.join(where, "checkpoints")
    steps = [step for step in _subfolders(checkpoints, storage) if step.isdecimal()]
    latest = ("last", *sorted(steps, key=int, reverse=True))
    for step in (where, *(os.path.join(checkpoints, step) for step in latest)):
        folder = os.path.join(step, "pretrained_model")
        if storage.is_folder(folder):
            yield folder
    yield from _cached_snapshots(where, storage)


def _cached_snapshots(where: str, storage: Storage) -> Iterator[str]:
    """Yield the snapshot of `refs/main`, or the only one, in a cache folder models--owner--name."""
    snapshots = os.path.join(where, "snapshots")
    names = _subfolders(snapshots, storage)
    main = os.path.join(where, "refs", "main")
    if storage.is_file(main):
        commit = storage.read(main, _COMMIT_LIMIT).decode("ascii", "replace").strip()
        names = (commit,) if commit in names else ()
    if len(names) == 1:
        yield os.path.join(snapshots, names[0])


def _subfolders(path: str, storage: Storage) -> tuple[str, ...]:
    names = storage.names(path) if storage.is_folder(path) else ()
    return tuple(name.removesuffix("/") for name in names if name.endswith("/"))


def checkpoints_below(path: str, storage: Storage) -> tuple[str, ...]:
    """Return the folders at most two levels below `path` that have a checkpoint, each once.

    Folders that cannot be read are passed over: they may be anything.
    """
    found: dict[str, str] = {}
    others = [path]
    for _ in range(2):
        level = islice((below for one in others for below in _below(one, storage)), MOST_FOLDERS)
        others = []
        for folder in level:
            if _has_weights(folder, storage):  # a run's `last` is one of its steps
                found.setdefault(os.path.realpath(folder), folder)
            else:
                others.append(folder)
    return tuple(found.values())


def _below(folder: str, storage: Storage) -> Iterator[str]:
    with suppress(Unreadable):
        yield from (os.path.join(folder, name) for name in _subfolders(folder, storage))


def _has_weights(folder: str, storage: Storage) -> bool:
    with suppress(Unreadable):
        return any(
            name.endswith(".safetensors")
            for root in candidates(folder, storage)
            for name in storage.names(root)
        )
    return False


MOST_FOLDERS = 100
"""Folders of a level that are looked into for checkpoints that could be meant."""
