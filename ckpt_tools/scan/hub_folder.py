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
from ckpt_tools.scan.pickles import SNIFF
from ckpt_tools.scan.tree import tree
from ckpt_tools.storage.paths import LENGTH_BYTES
from ckpt_tools.storage.session import remote_storage

if TYPE_CHECKING:
    from ckpt_tools.scan.entry import Entry
    from ckpt_tools.storage.storage import RemoteStorage

WHOLE = 1 << 20
"""Files up to this size are fetched whole, several at a time; of larger ones first the start."""

_TAR = "a tar archive, which is not fetched for inspection"


def entries(where: str) -> tuple[Entry, ...]:
    """Return an entry for everything at `where` and below, sorted by path. Raises a StoreError."""
    storage, found = remote_storage(where), tree(where)
    base = storage.root if storage.is_folder(storage.root) else storage.root.rpartition("/")[0]
    paths = [f"{base}/{entry.path}" for entry in found if entry.kind == "file"]
    storage.prefetch((path, _first(storage, path)) for path in paths)
    needed = ((path, _needed(storage, path)) for path in paths)
    storage.prefetch((path, length) for path, length in needed if length <= WHOLE)
    inspected: list[Entry] = []
    held = 0
    for entry in found:
        if entry.kind == "file":
            path, budget = f"{base}/{entry.path}", TOTAL_LIMIT - held
            inspected.append(_inspected(storage, path, entry.path, budget))
            held += inspected[-1].held
        else:
            inspected.append(entry)
    return tuple(inspected)


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
