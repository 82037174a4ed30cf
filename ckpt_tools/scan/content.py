"""What one file holds: its kind by its first bytes, its readable text, a pickle's verdict."""

from __future__ import annotations

from typing import NamedTuple

from ckpt_tools.errors import Unreadable
from ckpt_tools.scan.file_types import named
from ckpt_tools.scan.pickles import SNIFF, TEXT, WEIGHTS, ends_as_zip, look
from ckpt_tools.scan.printable_text import looks_like_text, patched, strings, wide
from ckpt_tools.storage.files import read_at

HEAD = 64
TEXT_LIMIT = 48 << 20
"""The largest tokenizers have 35 MB of JSON.

What is larger is not looked through, and said to be.
"""

TOTAL_LIMIT = 512 << 20
"""Text of all files together that is held at once."""

STRINGS_LIMIT = 16 << 20
"""How much of a file that is no text is looked through for what can be read in it.

Pictures and the like have their metadata at their start.
"""

_TAIL = 1 << 20
"""And at its end, where others have it, and where something can be hung on."""

_DATA = (
    ".json",
    ".jsonl",
    ".ipynb",
    ".yaml",
    ".yml",
    ".toml",
    ".cfg",
    ".ini",
    ".conf",
    ".csv",
    ".tsv",
    ".xml",
    ".env",
    ".netrc",
    ".pem",
    ".key",
    ".tiktoken",
)
_TEXTS = (*_DATA, ".md", ".txt", ".html", ".svg", ".log", ".jinja", ".py", ".sh")
_PLAIN = (".bpe", ".bib", ".cff", ".rst", ".gitattributes", ".gitignore")


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


def seen(descriptor: int, size: int, full: str, name: str, budget: int) -> Content:
    """Return what is in the open file.

    `name` is its path in small letters, `full` the one for errors, `budget` the bytes of text that
    may be held.
    """
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
    return (
        found if rest <= 0 else f"{found}\n{strings(read_at(descriptor, rest, size - rest, full))}"
    )


def _judged(descriptor: int, size: int, head: bytes, name: str) -> Content:
    """Return what a file is by its content; `name` says only what it wants to pass for."""
    is_text = name.endswith((*_TEXTS, *_PLAIN)) or "." not in name.rpartition("/")[2]
    is_safetensors = (
        name.endswith(".safetensors")
        and head[8:9] == b"{"
        and int.from_bytes(head[:8], "little") <= size - 8
    )
    try:
        is_zip = (size > len(head) or b"PK" in head) and ends_as_zip(descriptor, size)
        pickle, imports = look(
            descriptor,
            size,
            head,
            is_zip=is_zip,
            wants=WEIGHTS if is_safetensors else TEXT if is_text else "",
        )
    except OSError as error:
        raise Unreadable((error.strerror or str(error)).lower(), hint="check the disk") from None
    content = "" if is_safetensors else named(head)
    return Content(
        size=size, head=head[:HEAD], pickle=pickle, imports=imports, content=content, is_zip=is_zip
    )


def _with_header(found: Content, descriptor: int, full: str, budget: int) -> Content:
    """Add the header of a safetensors file.

    One that claims more than the file has is read as far as there is something.
    """
    length = min(int.from_bytes(found.head[:8], "little"), found.size - 8)
    if length <= 0:
        return found
    limit = min(TEXT_LIMIT, budget)
    unread = (
        f"its header of {length:,} bytes is more than is looked through" if length > limit else ""
    )
    header = read_at(descriptor, max(min(length, limit), 0), 8, full)
    try:
        return found._replace(header=header.decode(), unread=unread)
    except UnicodeDecodeError:
        return found._replace(header=header.decode("utf-8", "replace"), utf8=False, unread=unread)


def is_text_by_name(name: str) -> bool:
    """Whether a file is read as text for its name, which is in small letters."""
    return name.endswith(_TEXTS)
