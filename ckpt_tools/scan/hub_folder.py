"""Lists what is on the Hub or in a bucket with its content, as `scan.folder` lists a local folder.

What was fetched is put into a temporary file that reads as zeros elsewhere, so that the same code
inspects it. Neither has modes or links, and folders only by the files in them.
"""

from __future__ import annotations

import os
import tempfile
from typing import TYPE_CHECKING

from ckpt_tools.scan.content import (
    HEAD,
    STRINGS_LIMIT,
    TEXT_LIMIT,
    TOTAL_LIMIT,
    has_text_name,
    inspect,
    looks_like_text,
)
from ckpt_tools.scan.entry import Entry
from ckpt_tools.scan.pickles import SNIFF
from ckpt_tools.storage.paths import LENGTH_BYTES
from ckpt_tools.storage.session import remote_storage

if TYPE_CHECKING:
    from ckpt_tools.storage.storage import RemoteStorage

WHOLE = 1 << 20
"""Files up to this size are fetched whole, several at a time; of larger ones first the start."""

_TAR = "a tar archive, which is not fetched for inspection"


def entries(where: str, *, contents: bool) -> tuple[Entry, ...]:
    """Return an entry for everything at `where` and below, sorted by path.

    Without `contents`, names and sizes only. Raises a StoreError.
    """
    storage = remote_storage(where)
    paths = _files_below(storage)
    is_folder = storage.is_folder(storage.root)
    base = storage.root if is_folder else storage.root.rpartition("/")[0]
    names = [path.removeprefix(f"{base}/") for path in paths]
    folders = {name[: at + 1] for name in names for at, sign in enumerate(name) if sign == "/"}
    if contents:
        storage.prefetch((path, _first(storage, path)) for path in paths)
        needed = ((path, _needed(storage, path)) for path in paths)
        storage.prefetch((path, length) for path, length in needed if length <= WHOLE)
    held = 0
    found = [Entry(folder, "folder") for folder in folders]
    for path, name in zip(paths, names, strict=True):
        entry = Entry(name, "file", storage.size(path))
        found.append(_inspected(storage, path, name, TOTAL_LIMIT - held) if contents else entry)
        held += found[-1].held
    return tuple(sorted(found, key=lambda entry: entry.path))


def _files_below(storage: RemoteStorage) -> list[str]:
    if storage.is_file(storage.root):
        return [storage.root]
    found: list[str] = []
    waiting = [storage.root]
    while waiting:
        folder = waiting.pop()
        for name in storage.names(folder):
            (waiting if name.endswith("/") else found).append(f"{folder}/{name.removesuffix('/')}")
    return found


def _first(storage: RemoteStorage, path: str) -> int:
    """Return how much of a file is fetched before its first bytes are known."""
    size = storage.size(path)
    if path.lower().endswith(".safetensors"):
        return min(SNIFF, size)
    return size if size <= WHOLE or (has_text_name(path) and size <= TEXT_LIMIT) else SNIFF


def _needed(storage: RemoteStorage, path: str) -> int:
    """Return how much of a file is inspected, given its first bytes."""
    size = storage.size(path)
    with storage.open(path) as file:
        head = file.read(min(SNIFF, size), 0)
    if path.lower().endswith(".safetensors"):
        length = LENGTH_BYTES + int.from_bytes(head[:LENGTH_BYTES], "little")
        return min(length if length <= size else WHOLE, TEXT_LIMIT, size)
    if (has_text_name(path) or looks_like_text(head[:HEAD])) and size <= TEXT_LIMIT:
        return size
    return min(STRINGS_LIMIT, size)


def _inspected(storage: RemoteStorage, path: str, name: str, budget: int) -> Entry:
    size, needed = storage.size(path), _needed(storage, path)
    with storage.open(path) as opened, tempfile.TemporaryFile() as file:
        file.write(opened.read(needed, 0))
        file.truncate(size)
        file.flush()
        entry = inspect(file.fileno(), size, path, path, budget)._replace(path=name)
        is_tar = os.pread(file.fileno(), 5, 257) == b"ustar"
    is_partial = is_tar and needed < size and not entry.pickle
    return entry._replace(pickle=_TAR) if is_partial else entry
