"""Weight files in the folder beside those that the checkpoint is.

Who refers to them, and what their headers say.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from ckpt_tools.checkpoint import header
from ckpt_tools.errors import FormatError, HeaderNotUtf8
from ckpt_tools.rules.profiles import LEROBOT
from ckpt_tools.scan.json_files import lax
from ckpt_tools.storage.paths import LENGTH_BYTES

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ckpt_tools.checkpoint.header import Header
    from ckpt_tools.rules.rule import Subject
    from ckpt_tools.scan.entry import Entry

SUFFIX = ".safetensors"
SINGLE_FILE = "model.safetensors"
_INDEX = f"{SINGLE_FILE}.index.json"
_PROCESSORS = ("policy_preprocessor.json", "policy_postprocessor.json")
_ADAPTER = ("adapter_config.json", "adapter_model.safetensors")


def others(subject: Subject) -> Iterator[Entry]:
    """Yield every .safetensors file in the folder and below that was not read as the checkpoint's weights or as a processor's state."""
    read = {_plain(file.path) for file in (*subject.checkpoint.weights, *subject.checkpoint.states)}
    for entry in subject.entries or ():
        if (
            entry.kind in ("file", "link")
            and entry.path.lower().endswith(SUFFIX)
            and entry.path not in read
        ):
            yield entry


def _plain(path: str) -> str:
    return "/".join(part for part in path.split("/") if part not in ("", "."))


def decoded(entry: Entry) -> Header:
    """Return what the header of a weight file says. Raises a FormatError for one that is none."""
    length = header.header_length(entry.head[:LENGTH_BYTES], entry.size)
    if not entry.utf8:
        raise HeaderNotUtf8("the header is not UTF-8")
    return header.decode(
        (entry.header or "").encode(), entry.size - LENGTH_BYTES - length, shard=entry.path
    )


def readable(subject: Subject) -> Iterator[tuple[Entry, Header]]:
    """Yield the others that can be read, with their headers."""
    for entry in others(subject):
        try:
            yield entry, decoded(entry)
        except FormatError:
            continue


def folders_of_models(subject: Subject) -> frozenset[str]:
    """Return the folders below the root that a file in the root says hold a part of the model.

    Diffusers' components, modules of sentence-transformers.
    """
    found: set[str] = set()
    for entry in subject.entries or ():
        if entry.path in ("model_index.json", "modules.json") and entry.text:
            value = lax(entry.text)
            if isinstance(value, dict):
                found.update(key for key, part in value.items() if isinstance(part, list))
            for module in value if isinstance(value, list) else ():
                path = module.get("path") if isinstance(module, dict) else None
                found.update((path,) if isinstance(path, str) and path else ())
    return frozenset(found)


def referred(subject: Subject, profile: str = "") -> frozenset[str]:
    """Return the paths of those others that something refers to.

    The file a loader looks for, a JSON file that names it, or a file that lists its folder.

    Under `lerobot` only what LeRobot itself reads counts: an index's shards and the two processors'
    states.
    """
    if profile == LEROBOT.name:
        return frozenset({SINGLE_FILE, *_read_by_lerobot(subject)})
    paths = {entry.path for entry in subject.entries or ()}
    parts, named = folders_of_models(subject), _named(subject)
    found = {SINGLE_FILE}
    for entry in others(subject):
        folder, _, name = entry.path.rpartition("/")
        is_adapter = name == _ADAPTER[1] and f"{folder}/{_ADAPTER[0]}".lstrip("/") in paths
        if is_adapter or folder in parts or entry.path in named:
            found.add(entry.path)
    return frozenset(found)


def _read_by_lerobot(subject: Subject) -> Iterator[str]:
    """Yield the values of the index's map, and the state files of the processors' steps."""
    for entry in subject.entries or ():
        value = lax(entry.text) if entry.text and entry.path in (_INDEX, *_PROCESSORS) else None
        if isinstance(value, dict):
            shards, steps = value.get("weight_map"), value.get("steps")
            named = shards.values() if entry.path == _INDEX and isinstance(shards, dict) else ()
            states = (
                [step.get("state_file") for step in steps if isinstance(step, dict)]
                if entry.path != _INDEX and isinstance(steps, list)
                else ()
            )
            yield from (name for name in (*named, *states) if isinstance(name, str))


def _named(subject: Subject) -> frozenset[str]:
    """Return the paths of files that a JSON file in their folder names.

    An index its shards, a processor its state.
    """
    found: set[str] = set()
    for entry in subject.entries or ():
        if entry.path.endswith(".json") and entry.text and SUFFIX in entry.text:
            inside = entry.path[: entry.path.rfind("/") + 1]
            found.update(
                f"{inside}{name}"
                for name in re.findall(r'"([^"/\\]{1,255}\.safetensors)"', entry.text)
            )
    return frozenset(found)
