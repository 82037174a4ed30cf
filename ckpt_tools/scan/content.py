"""Inspects the content of one open file: its type, its readable text, the pickle in it."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from ckpt_tools.errors import Unreadable
from ckpt_tools.scan import file_types
from ckpt_tools.scan.entry import Entry
from ckpt_tools.scan.pickles import SNIFF, TEXT, WEIGHTS, decompress, ends_as_zip, find_pickle
from ckpt_tools.storage.files import read_at

if TYPE_CHECKING:
    from collections.abc import Iterator

HEAD = 64
TEXT_LIMIT = 48 << 20
"""Larger text files are not scanned. The largest tokenizers have 35 MB of JSON."""

TOTAL_LIMIT = 512 << 20
"""Text of all files together that is kept in memory at once."""

STRINGS_LIMIT = 16 << 20
"""How much of a binary file is scanned for printable text: images have metadata at their start."""

_TAIL = 1 << 20
"""And at its end, where other formats have it, and where data can be appended."""

_TEXTS = (
    *(".json", ".jsonl", ".ipynb", ".yaml", ".yml", ".toml", ".cfg", ".ini", ".conf", ".csv"),
    *(".tsv", ".xml", ".env", ".netrc", ".pem", ".key", ".tiktoken", ".md", ".txt", ".html"),
    *(".svg", ".log", ".jinja", ".py", ".sh"),
)
_PLAIN = (".bpe", ".bib", ".cff", ".rst", ".gitattributes", ".gitignore")
_BOMS = (
    (b"\xff\xfe\0\0", "utf-32"),
    (b"\0\0\xfe\xff", "utf-32"),
    (b"\xff\xfe", "utf-16"),
    (b"\xfe\xff", "utf-16"),
)
_RUN = (b"a" * 16, rb"[\x20-\x7e]{16,}")
_WIDE = (
    (b"a\0" * 15, rb"(?:[\x20-\x7e]\0){15,}[\x20-\x7e]?"),
    (b"a\0\0\0" * 15, rb"(?:[\x20-\x7e]\0\0\0){15,}[\x20-\x7e]?"),
)
_FLAT = bytes(97 if 32 <= code < 127 else code and 1 for code in range(256))  # noqa: PLR2004 - printable characters
"""Makes every printable character an a: runs are searched for as plain bytes first."""

_COMPRESSED = ((b"\x1f\x8b", "gzip"), (b"BZh", "bz2"), (b"\xfd7zXZ\0", "lzma"))
_PNG_TEXT = rb"zTXt[^\0]{1,79}\0\0|iTXt[^\0]{1,79}\0\x01\0[^\0]{0,99}\0[^\0]{0,999}\0"
"""Chunks of a PNG with compressed text, up to that text."""

_MAX_CHUNKS = 100
_CHUNK_LIMIT = 1 << 20


def inspect(descriptor: int, size: int, full: str, path: str, budget: int) -> Entry:
    """Return the entry of an open file; `budget` is how many bytes of text it may keep.

    `full` is the path for errors. Raises Unreadable.
    """
    name = path.lower()
    head = read_at(descriptor, min(SNIFF, size), 0, full)
    entry = _typed(Entry(path, "file", size, head=head[:HEAD]), descriptor, head, name)
    limit = min(TEXT_LIMIT, budget)
    if name.endswith(".safetensors"):
        return _with_header(entry, descriptor, full, limit)
    if not (has_text_name(name) or looks_like_text(head[:HEAD])):
        return entry._replace(strings=_strings_of(descriptor, size, full)[: max(budget, 0)])
    if size > limit:
        return entry._replace(unread=f"its {size:,} bytes of text exceed the scan limit")
    data = read_at(descriptor, size, 0, full)
    wide = b"\n".join(_wide(data, data.translate(_FLAT))).decode("ascii") if b"\0" in data else ""
    try:
        return entry._replace(text=data.decode(), strings=wide or None)
    except UnicodeDecodeError:
        encoding = next((name for bom, name in _BOMS if data.startswith(bom)), "utf-8")
        return entry._replace(
            text=data.decode(encoding, "replace"), utf8=False, strings=wide or None
        )


def _typed(entry: Entry, descriptor: int, head: bytes, name: str) -> Entry:
    """Add the type and the pickle of a file; `name` says only what it claims to be."""
    is_text = name.endswith((*_TEXTS, *_PLAIN)) or "." not in name.rpartition("/")[2]
    is_safetensors = (
        name.endswith(".safetensors")
        and head[8:9] == b"{"
        and int.from_bytes(head[:8], "little") <= entry.size - 8
    )
    claims = WEIGHTS if is_safetensors else TEXT if is_text else ""
    try:
        is_zip = (entry.size > len(head) or b"PK" in head) and ends_as_zip(descriptor, entry.size)
        pickle, imports = find_pickle(descriptor, entry.size, head, is_zip=is_zip, claims=claims)
    except OSError as error:
        raise Unreadable((error.strerror or str(error)).lower(), hint="check the disk") from None
    file_type = "" if is_safetensors else file_types.detect(head)
    return entry._replace(pickle=pickle, imports=imports, file_type=file_type, is_zip=is_zip)


def _with_header(entry: Entry, descriptor: int, full: str, limit: int) -> Entry:
    """Add the header of a safetensors file, or as much of it as the file has."""
    length = min(int.from_bytes(entry.head[:8], "little"), entry.size - 8)
    if length <= 0:
        return entry
    if length > limit:
        entry = entry._replace(unread=f"its header of {length:,} bytes exceeds the scan limit")
    header = read_at(descriptor, max(min(length, limit), 0), 8, full)
    try:
        return entry._replace(header=header.decode())
    except UnicodeDecodeError:
        return entry._replace(header=header.decode("utf-8", "replace"), utf8=False)


def has_text_name(path: str) -> bool:
    """Whether a file is read as text because of its name."""
    return path.lower().endswith(_TEXTS)


def looks_like_text(head: bytes) -> bool:
    """Whether a file that starts with `head` is text, in UTF-8, UTF-16 or UTF-32."""
    if head.startswith(tuple(bom for bom, _ in _BOMS)):
        return True
    return all(byte >= 32 or byte in b"\t\n\r\f\x1b" for byte in head)  # noqa: PLR2004 - the first printable character


# --- printable text in binary files ---------------------------------------------------------------


def _strings_of(descriptor: int, size: int, full: str) -> str:
    """Return the printable text at the start and at the end of a file."""
    found = _strings(read_at(descriptor, min(size, STRINGS_LIMIT), 0, full))
    rest = min(size - STRINGS_LIMIT, _TAIL)
    if rest <= 0:
        return found
    return f"{found}\n{_strings(read_at(descriptor, rest, size - rest, full))}"


def _strings(data: bytes) -> str:
    """Return the runs of printable characters that could be words or secrets, one per line."""
    runs: list[bytes] = []
    for part in _parts(data):
        flat, (start, expression) = part.translate(_FLAT), _RUN
        runs += re.findall(expression, part) if start in flat else ()
        runs += _wide(part, flat)
    return b"\n".join(runs).decode("ascii")


def _wide(data: bytes, flat: bytes) -> Iterator[bytes]:
    """Yield the runs of characters of two and four bytes: UTF-16 without a mark has zeros in it."""
    for start, expression in _WIDE:
        if start in flat:
            yield from (run.replace(b"\0", b"") for run in re.findall(expression, data))


def _parts(data: bytes) -> Iterator[bytes]:
    """Yield `data`, and what is compressed in it: all of it, or the texts in a PNG."""
    yield data
    method = next((name for magic, name in _COMPRESSED if data.startswith(magic)), "")
    if method:
        yield decompress(data, method, STRINGS_LIMIT) or b""
    if data.startswith(b"\x89PNG") and b"TXt" in data:
        for _, chunk in zip(range(_MAX_CHUNKS), re.finditer(_PNG_TEXT, data), strict=False):
            text = data[chunk.end() : chunk.end() + _CHUNK_LIMIT]
            yield decompress(text, "zlib", _CHUNK_LIMIT) or b""
