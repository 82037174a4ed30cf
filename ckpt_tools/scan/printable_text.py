"""What people could read in a file.

Text in whatever encoding, and the words in files that are no text.
"""

from __future__ import annotations

import importlib
import re
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

_LIMIT = 16 << 20
_CHUNKS = 100
_CHUNK_LIMIT = 1 << 20
_RUN = rb"[\x20-\x7e]{16,}"
_WIDE = (rb"(?:[\x20-\x7e]\0){15,}[\x20-\x7e]?", rb"(?:[\x20-\x7e]\0\0\0){15,}[\x20-\x7e]?")
_NOTES = rb"zTXt[^\0]{1,79}\0\0|iTXt[^\0]{1,79}\0\x01\0[^\0]{0,99}\0[^\0]{0,999}\0"
"""Chunks of a PNG that hold compressed text, as far as that."""

_MARKS = (
    (b"\xff\xfe\0\0", "utf-32"),
    (b"\0\0\xfe\xff", "utf-32"),
    (b"\xff\xfe", "utf-16"),
    (b"\xfe\xff", "utf-16"),
)
_PACKED = ((b"\x1f\x8b", "gzip"), (b"BZh", "bz2"), (b"\xfd7zXZ\0", "lzma"))


def looks_like_text(head: bytes) -> bool:
    """Return whether a file that starts with `head` is text."""
    if head.startswith(tuple(mark for mark, _ in _MARKS)):
        return True
    return b"\0" not in head and all(byte >= 32 or byte in b"\t\n\r\f\x1b" for byte in head)  # noqa: PLR2004 - the first printable character


def patched(data: bytes) -> str:
    """Return a text in another encoding, or with marks in the place of bytes that are no UTF-8."""
    encoding = next((name for mark, name in _MARKS if data.startswith(mark)), "utf-8")
    return data.decode(encoding, "replace")


def strings(data: bytes) -> str:
    """Return the runs of printable characters in `data` that are long enough to be words or secrets, a line each; also of characters of two and four bytes."""
    return b"\n".join(
        run for part in _parts(data) for run in (*re.findall(_RUN, part), *_wide(part))
    ).decode("ascii")


def wide(data: bytes) -> str | None:
    """Return the runs of characters of two and four bytes in `data`, None where there are none.

    UTF-16 without a mark is text with zeros in it.
    """
    return b"\n".join(_wide(data)).decode("ascii") or None


def _wide(data: bytes) -> Iterator[bytes]:
    if b"\0" in data:
        for expression in _WIDE:
            yield from (run.replace(b"\0", b"") for run in re.findall(expression, data))


def _parts(data: bytes) -> Iterator[bytes]:
    """Yield `data`, and what is compressed in it: all of it, or notes in a picture."""
    yield data
    packed = next((name for magic, name in _PACKED if data.startswith(magic)), "")
    if packed:
        yield _unpacked(data, packed, _LIMIT)
    if data.startswith(b"\x89PNG"):
        for _, match in zip(range(_CHUNKS), re.finditer(_NOTES, data), strict=False):
            yield _unpacked(data[match.end() : match.end() + _CHUNK_LIMIT], "zlib", _CHUNK_LIMIT)


def _unpacked(data: bytes, method: str, limit: int) -> bytes:
    """Return the start of what `data` holds, b"" where it is broken.

    The modules are imported only for this: most folders hold nothing compressed.
    """
    module: Any = importlib.import_module("zlib" if method == "gzip" else method)
    try:
        if method in ("gzip", "zlib"):
            unpacker = module.decompressobj(31 if method == "gzip" else 15)
        else:
            unpacker = (
                module.BZ2Decompressor()
                if method == "bz2"
                else module.LZMADecompressor(memlimit=64 << 20)
            )
        found: bytes = unpacker.decompress(data, limit)
    except Exception:  # noqa: BLE001 - three modules have an error each; what cannot be unpacked holds nothing that a reader finds
        return b""
    return found
