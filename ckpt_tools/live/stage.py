"""What a probe is given: a folder with a checkpoint's files, and a cache of the Hub's.

Libraries find what a config names on the Hub in a cache folder. Of the local copies that the user
names, one is made here that has links to them, beside those to what was downloaded before.
"""

from __future__ import annotations

import json
import os
import tempfile
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, NamedTuple

from ckpt_tools.live.bases import HUB_CACHE, is_on_hub, own_cache

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from ckpt_tools.checkpoint.model import Document
    from ckpt_tools.live.bases import Bases

_COMMIT = "0" * 40
_OFFLINE = {
    "HF_HUB_OFFLINE": "1",
    "TRANSFORMERS_OFFLINE": "1",
    "HF_DATASETS_OFFLINE": "1",
    "HF_HUB_DISABLE_TELEMETRY": "1",
    "TOKENIZERS_PARALLELISM": "false",
    "CUDA_VISIBLE_DEVICES": "",
}
_REMOVED = ("HF_TOKEN", "HUGGING_FACE_HUB_TOKEN", "PYTHONWARNINGS")
"""Secrets, and what would make a library's warnings fatal."""


class Stage(NamedTuple):
    """The folder with the checkpoint's files, and the environment of the probe's process."""

    folder: str
    environment: Mapping[str, str]


@contextmanager
def staged(documents: Iterable[Document], bases: Bases, *, root: str = "") -> Iterator[Stage]:
    """Yield a folder with these JSON files, and links to all else in the folder `root`.

    What the files name by a path in `bases` they name by its folder.
    """
    paths = {name: folder for name, folder in bases.items() if not is_on_hub(name)}
    with tempfile.TemporaryDirectory(prefix="ckpt-") as space:
        folder = os.path.join(space, "checkpoint")
        os.mkdir(folder)
        for document in documents:
            text = document.text
            if paths:
                text = json.dumps(_replaced(document.value, paths))
            with open(os.path.join(folder, document.path), "w", encoding="utf-8") as file:
                file.write(text)
        for name in os.listdir(root) if root else ():
            with suppress(FileExistsError):
                os.symlink(os.path.abspath(os.path.join(root, name)), os.path.join(folder, name))
        yield Stage(folder, {**environment(bases, space), "TMPDIR": space})


def environment(bases: Bases, space: str) -> dict[str, str]:
    """Return the environment of a probe; with `bases`, a cache of the Hub is made in `space`."""
    kept = {name: value for name, value in os.environ.items() if name not in _REMOVED}
    return {**kept, **_OFFLINE, **hub_cache(bases, space)}


def hub_cache(bases: Bases, space: str) -> dict[str, str]:
    """Make a cache of the Hub in `space` that has `bases` too, and return its variables."""
    named = {name: folder for name, folder in bases.items() if is_on_hub(name)}
    if not named:
        return {}
    cache = os.path.join(space, "hub")
    os.mkdir(cache)
    for name, folder in named.items():
        place = os.path.join(cache, f"models--{name.replace('/', '--')}")
        os.makedirs(os.path.join(place, "snapshots"))
        os.makedirs(os.path.join(place, "refs"))
        os.symlink(folder, os.path.join(place, "snapshots", _COMMIT))
        with open(os.path.join(place, "refs", "main"), "w", encoding="ascii") as file:
            file.write(_COMMIT)
    own = own_cache()
    for name in os.listdir(own) if os.path.isdir(own) else ():
        with suppress(FileExistsError):
            os.symlink(os.path.join(own, name), os.path.join(cache, name))
    return dict.fromkeys(HUB_CACHE, cache)


def _replaced(value: object, paths: Bases) -> object:
    if isinstance(value, str):
        return paths.get(value, value)
    if isinstance(value, dict):
        return {key: _replaced(item, paths) for key, item in value.items()}
    return [_replaced(item, paths) for item in value] if isinstance(value, list) else value
