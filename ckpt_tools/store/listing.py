"""Everything that lies in a folder and below it. Only regular files are opened, and nothing is waited for; folders that links lead to are not entered.

Of a folder that no upload takes along, such as `.git/`, there is only the name.
"""

# ruff: noqa: PTH110, PTH115 - paths are strings as the user typed them; importing pathlib costs start-up time
from __future__ import annotations

import importlib
import os
import stat
from typing import TYPE_CHECKING, NamedTuple

from ckpt_tools.errors import CkptError, Unreadable
from ckpt_tools.format.magic import named
from ckpt_tools.records.listing import Entry
from ckpt_tools.rules.profiles import is_left_out
from ckpt_tools.store.files import open_regular, read_at
from ckpt_tools.store.pickles import SNIFF, TEXT, WEIGHTS, ends_as_zip, look
from ckpt_tools.store.place import is_remote
from ckpt_tools.store.readable import looks_like_text, patched, strings, wide

if TYPE_CHECKING:
    from collections.abc import Iterator

HEAD = 64
TEXT_LIMIT = 48 << 20
"""The largest tokenizers have 35 MB of JSON. What is larger is not looked through, and said to be."""

TOTAL_LIMIT = 512 << 20
"""Text of all files together that is held at once."""

STRINGS_LIMIT = 16 << 20
"""How much of a file that is no text is looked through for what can be read in it: pictures and the like have their metadata at their start."""

_TAIL = 1 << 20
"""And at its end, where others have it, and where something can be hung on."""

_DATA = (".json", ".jsonl", ".ipynb", ".yaml", ".yml", ".toml", ".cfg", ".ini", ".conf", ".csv", ".tsv", ".xml", ".env", ".netrc", ".pem", ".key", ".tiktoken")
_TEXTS = (*_DATA, ".md", ".txt", ".html", ".svg", ".log", ".jinja", ".py", ".sh")
_PLAIN = (".bpe", ".bib", ".cff", ".rst", ".gitattributes", ".gitignore")
_KINDS = ((stat.S_ISREG, "file"), (stat.S_ISDIR, "folder"), (stat.S_ISLNK, "link"), (stat.S_ISFIFO, "pipe"), (stat.S_ISSOCK, "socket"))


class _Root(NamedTuple):
    """The folder as it was named, and the real folders in which a link may end without leaving it."""

    path: str
    homes: tuple[str, ...]


class Content(NamedTuple):
    """What was seen of a file: the fields of an `Entry` that come from its bytes."""

    size: int = 0
    head: bytes = b""
    text: str | None = None
    utf8: bool = True
    header: str | None = None
    strings: str | None = None
    pickle: str = ""
    imports: tuple[str, ...] = ()
    unread: str = ""
    content: str = ""
    is_zip: bool = False


def listing(root: str, *, contents: bool = True) -> tuple[Entry, ...]:
    """Return an entry for everything in the folder `root` and below, sorted by path. Raises Unreadable for a folder that cannot be listed.

    Of a folder on the Hub, `contents` says whether files are fetched to look into them.
    """
    if is_remote(root):
        return _on_hub(root, contents=contents)
    place = _Root(root, _homes(root))
    held = 0
    found: list[Entry] = []
    for path, status in _walk(root):
        entry = _entry(place, path, status, TOTAL_LIMIT - held)
        held += len(entry.text or "") + len(entry.header or "") + len(entry.strings or "")
        found.append(entry)
    return tuple(sorted(found, key=lambda entry: entry.path))


def single(path: str) -> tuple[Entry, ...]:
    """Return the entry of one file, as if it were alone in its folder."""
    if is_remote(path):
        return _on_hub(path, contents=True)
    folder, name = os.path.split(path)
    folder = folder or "."
    return (_entry(_Root(folder, _homes(folder)), name, os.lstat(path), TOTAL_LIMIT),)


def _on_hub(where: str, *, contents: bool) -> tuple[Entry, ...]:
    found: tuple[Entry, ...] = importlib.import_module("ckpt_tools.store.remote_listing").entries(where, contents=contents)
    return found


def _homes(root: str) -> tuple[str, ...]:
    """Return the real folders that belong to `root`: itself, and for a snapshot in the Hugging Face cache, whose files are links, the blobs beside it."""
    real = os.path.realpath(root)
    above, _ = os.path.split(real)
    repository, name = os.path.split(above)
    blobs = (os.path.join(repository, "blobs", ""),) if name == "snapshots" else ()
    return (os.path.join(real, ""), *blobs)


def _walk(root: str) -> Iterator[tuple[str, os.stat_result]]:
    """Yield (path, status) of everything below `root`, folders with a trailing `/`. Without recursion: depth is the sender's choice."""
    waiting = [""]
    while waiting:
        below = waiting.pop()
        for name, status in _inside(os.path.join(root, below) if below else root):
            path = f"{below}{name}"
            if stat.S_ISDIR(status.st_mode):
                path = f"{path}/"
                if not is_left_out(path):
                    waiting.append(path)
            yield path, status


def _inside(folder: str) -> list[tuple[str, os.stat_result]]:
    try:
        with os.scandir(folder) as entries:
            return [(item.name, item.stat(follow_symlinks=False)) for item in entries]
    except OSError as error:
        raise Unreadable((error.strerror or str(error)).lower(), path=folder, hint="what cannot be listed cannot be judged: ask for read access") from None


def _entry(root: _Root, path: str, status: os.stat_result, budget: int) -> Entry:
    kind = next((name for test, name in _KINDS if test(status.st_mode)), "device")
    mode = stat.S_IMODE(status.st_mode)
    if kind not in ("file", "link"):
        return Entry(path=path, kind=kind, mode=mode)
    full = os.path.join(root.path, path)
    looked = _look(full, path, budget, is_link=kind == "link")
    target = os.readlink(full) if kind == "link" else ""
    leaves = kind == "link" and not os.path.realpath(full).startswith(root.homes)
    return Entry(path=path, kind=kind, mode=mode, target=target, leaves=leaves, **looked._asdict())


def _look(full: str, path: str, budget: int, *, is_link: bool) -> Content:
    """Return what is in a file; of what is no regular file, and of what cannot be read, only why not."""
    if is_link and not os.path.isfile(full):  # a pipe behind a link must not even be opened
        there = os.path.exists(full)
        return Content(unread="" if os.path.isdir(full) else "it leads to what is no file" if there else "it leads nowhere")
    try:
        with open_regular(full) as (descriptor, size):
            return seen(descriptor, size, full, path.lower(), budget)
    except CkptError as error:
        return Content(unread=error.what)


def seen(descriptor: int, size: int, full: str, name: str, budget: int) -> Content:
    """Return what is in the open file; `name` is its path in small letters, `full` the one for errors, `budget` the bytes of text that may be held."""
    head = read_at(descriptor, min(SNIFF, size), 0, full)
    found = _judged(descriptor, size, head, name)
    if name.endswith(".safetensors"):
        return _with_header(found, descriptor, full, budget)
    if not (is_text_by_name(name) or looks_like_text(head[:HEAD])):
        return found._replace(strings=_strings(descriptor, size, full)[: max(budget, 0)])
    if size > min(TEXT_LIMIT, budget):
        return found._replace(unread=f"its {size:,} bytes of text are more than is looked through")
    data = read_at(descriptor, size, 0, full)
    try:
        return found._replace(text=data.decode(), strings=wide(data))
    except UnicodeDecodeError:
        return found._replace(text=patched(data), utf8=False, strings=wide(data))


def _strings(descriptor: int, size: int, full: str) -> str:
    """Return what can be read at the start of a file, and at its end."""
    found = strings(read_at(descriptor, min(size, STRINGS_LIMIT), 0, full))
    rest = min(size - STRINGS_LIMIT, _TAIL)
    return found if rest <= 0 else f"{found}\n{strings(read_at(descriptor, rest, size - rest, full))}"


def _judged(descriptor: int, size: int, head: bytes, name: str) -> Content:
    """Return what a file is by its content; `name` says only what it wants to pass for."""
    is_text = name.endswith((*_TEXTS, *_PLAIN)) or "." not in name.rpartition("/")[2]
    is_safetensors = name.endswith(".safetensors") and head[8:9] == b"{" and int.from_bytes(head[:8], "little") <= size - 8
    try:
        is_zip = (size > len(head) or b"PK" in head) and ends_as_zip(descriptor, size)
        pickle, imports = look(descriptor, size, head, is_zip=is_zip, wants=WEIGHTS if is_safetensors else TEXT if is_text else "")
    except OSError as error:
        raise Unreadable((error.strerror or str(error)).lower(), hint="check the disk") from None
    content = "" if is_safetensors else named(head)
    return Content(size=size, head=head[:HEAD], pickle=pickle, imports=imports, content=content, is_zip=is_zip)


def _with_header(found: Content, descriptor: int, full: str, budget: int) -> Content:
    """Add the header of a safetensors file; one that claims more than the file has is read as far as there is something."""
    length = min(int.from_bytes(found.head[:8], "little"), found.size - 8)
    if length <= 0:
        return found
    limit = min(TEXT_LIMIT, budget)
    unread = f"its header of {length:,} bytes is more than is looked through" if length > limit else ""
    header = read_at(descriptor, max(min(length, limit), 0), 8, full)
    try:
        return found._replace(header=header.decode(), unread=unread)
    except UnicodeDecodeError:
        return found._replace(header=header.decode("utf-8", "replace"), utf8=False, unread=unread)


def is_text_by_name(name: str) -> bool:
    """Whether a file is read as text for its name, which is in small letters."""
    return name.endswith(_TEXTS)
