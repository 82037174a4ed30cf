"""What lies in a repository on the Hub, as `store.listing` tells it of a folder.

Every text in full, of other files as much as is looked at on the disk.

Each file's bytes are looked at by the very code that looks at files on the disk: what was fetched
lies in a temporary file that reads as zeros elsewhere. A repository has neither modes nor links,
and folders only by the files in them.
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
    Content,
    is_text_by_name,
    seen,
)
from ckpt_tools.scan.entry import Entry
from ckpt_tools.scan.pickles import SNIFF
from ckpt_tools.scan.printable_text import looks_like_text
from ckpt_tools.storage.paths import LENGTH_BYTES
from ckpt_tools.storage.session import remote_storage

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ckpt_tools.storage.storage import RemoteStorage

WHOLE = 1 << 20
"""Files up to this size are fetched whole, several at a time.

Of larger ones first what tells whether they are text.
"""

_TAR = "a tar archive, which is not fetched to look into it"


def entries(where: str, *, contents: bool) -> tuple[Entry, ...]:
    """Return an entry for everything at `where` and below, sorted by path.

    Without `contents`, names and sizes only. Raises a StoreError.
    """
    place = remote_storage(where)
    paths = _files_below(place)
    base = place.root if place.is_folder(place.root) else place.root.rpartition("/")[0]
    found = [
        Entry(path=folder, kind="folder")
        for folder in _folders(path.removeprefix(f"{base}/") for path in paths)
    ]
    if contents:
        place.expect((path, _first(place, path)) for path in paths)
        place.expect((path, enough) for path in paths if (enough := _enough(place, path)) <= WHOLE)
    held = 0
    for path in paths:
        name, size = path.removeprefix(f"{base}/"), place.size(path)
        content = _look(place, path, TOTAL_LIMIT - held) if contents else Content(size=size)
        held += len(content.text or "") + len(content.header or "") + len(content.strings or "")
        found.append(Entry(path=name, kind="file", **content._asdict()))
    return tuple(sorted(found, key=lambda entry: entry.path))


def _files_below(place: RemoteStorage) -> list[str]:
    if place.is_file(place.root):
        return [place.root]
    found: list[str] = []
    waiting = [place.root]
    while waiting:
        folder = waiting.pop()
        for name in place.names(folder):
            (waiting if name.endswith("/") else found).append(f"{folder}/{name.removesuffix('/')}")
    return found


def _folders(names: Iterator[str]) -> list[str]:
    return sorted(
        {name[: at + 1] for name in names for at, letter in enumerate(name) if letter == "/"}
    )


def _first(place: RemoteStorage, path: str) -> int:
    """Return how much of a file is fetched before anything is known of it."""
    size = place.size(path)
    if path.lower().endswith(".safetensors"):
        return min(SNIFF, size)
    return (
        size if size <= WHOLE or (is_text_by_name(path.lower()) and size <= TEXT_LIMIT) else SNIFF
    )


def _enough(place: RemoteStorage, path: str) -> int:
    """Return how much of a file tells what it is, now that its first bytes are known."""
    size = place.size(path)
    with place.opened(path) as file:
        head = file.read(min(SNIFF, size), 0)
        if path.lower().endswith(".safetensors"):
            length = LENGTH_BYTES + int.from_bytes(head[:LENGTH_BYTES], "little")
            return min(length if length <= size else WHOLE, TEXT_LIMIT, size)
    if (is_text_by_name(path.lower()) or looks_like_text(head[:HEAD])) and size <= TEXT_LIMIT:
        return size
    return min(STRINGS_LIMIT, size)


def _look(place: RemoteStorage, path: str, budget: int) -> Content:
    size, enough = place.size(path), _enough(place, path)
    with place.opened(path) as opened, tempfile.TemporaryFile() as file:
        file.write(opened.read(enough, 0))
        file.truncate(size)
        file.flush()
        content = seen(file.fileno(), size, path, path.lower(), budget)
        is_tar = os.pread(file.fileno(), 5, 257) == b"ustar"
    return (
        content._replace(pickle=_TAR)
        if is_tar and enough < size and not content.pickle
        else content
    )
