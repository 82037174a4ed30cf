"""What a file is by its first bytes, in words.

No I/O; nothing is unpacked, and a name plays no part.
"""

from __future__ import annotations

from typing import NamedTuple


class Magic(NamedTuple):
    """Bytes by which a kind of file is known, `offset` bytes from its start.

    A second place, `also`, must fit as well where there is one.
    """

    kind: str
    start: bytes
    offset: int = 0
    also: tuple[int, bytes] = (0, b"")


PNG, JPEG, GIF, WEBP, MP4 = (
    "a PNG picture",
    "a JPEG picture",
    "a GIF picture",
    "a WebP picture",
    "an MP4 film",
)
PICTURES = frozenset((PNG, JPEG, GIF, WEBP))
SENTENCEPIECE, PDF, NUMPY, GGUF, HDF5, SQLITE = (
    "a SentencePiece model",
    "a PDF",
    "a numpy array",
    "a GGUF model",
    "an HDF5 file",
    "an SQLite database",
)
ZIP, TAR, GZIP, BZ2, XZ, LZMA = (
    "a zip archive",
    "a tar archive",
    "a gzip file",
    "a bzip2 file",
    "an xz file",
    "an LZMA file",
)
ZSTD, LZ4, SEVEN, RAR, CABINET, AR = (
    "a Zstandard file",
    "an LZ4 file",
    "a 7z archive",
    "a RAR archive",
    "a cabinet archive",
    "an ar archive",
)
ELF, PE, MACHO, WASM, SCRIPT = (
    "an ELF program",
    "a Windows program",
    "a Mach-O program or a Java class",
    "a WebAssembly program",
    "a script",
)

ARCHIVES = frozenset((ZIP, TAR, GZIP, BZ2, XZ, LZMA, ZSTD, LZ4, SEVEN, RAR, CABINET, AR))
PROGRAMS = frozenset((ELF, PE, MACHO, WASM, SCRIPT))

BLOCK = 512
"""Bytes that `named` wants: the header of a file in a tar archive."""

_MAGIC = (
    Magic(PNG, b"\x89PNG\r\n\x1a\n"),
    Magic(JPEG, b"\xff\xd8\xff"),
    Magic(GIF, b"GIF87a"),
    Magic(GIF, b"GIF89a"),
    Magic(WEBP, b"RIFF", also=(8, b"WEBP")),
    Magic(MP4, b"ftyp", 4),
    Magic(PDF, b"%PDF-"),
    Magic(NUMPY, b"\x93NUMPY"),
    Magic(GGUF, b"GGUF"),
    Magic(HDF5, b"\x89HDF\r\n\x1a\n"),
    Magic(SQLITE, b"SQLite format 3\0"),
    Magic(ZIP, b"PK\x03\x04"),
    Magic(ZIP, b"PK\x05\x06"),
    Magic(GZIP, b"\x1f\x8b\x08"),
    Magic(BZ2, b"BZh", also=(4, b"1AY&SY")),
    Magic(XZ, b"\xfd7zXZ\0"),
    Magic(LZMA, b"\x5d\0\0"),
    Magic(ZSTD, b"\x28\xb5\x2f\xfd"),
    Magic(LZ4, b"\x04\x22\x4d\x18"),
    Magic(SEVEN, b"7z\xbc\xaf\x27\x1c"),
    Magic(RAR, b"Rar!\x1a\x07"),
    Magic(CABINET, b"MSCF\0\0\0\0"),
    Magic(AR, b"!<arch>\n"),
    Magic(TAR, b"ustar", 257),
    Magic(ELF, b"\x7fELF"),
    Magic(PE, b"MZ"),
    Magic(MACHO, b"\xfe\xed\xfa\xce"),
    Magic(MACHO, b"\xfe\xed\xfa\xcf"),
    Magic(MACHO, b"\xce\xfa\xed\xfe"),
    Magic(MACHO, b"\xcf\xfa\xed\xfe"),
    Magic(MACHO, b"\xca\xfe\xba\xbe"),
    Magic(WASM, b"\0asm"),
    Magic(SCRIPT, b"#!/"),
    Magic(SCRIPT, b"#! /"),
)

_BY_BYTE = {
    first: tuple(magic for magic in _MAGIC if not magic.offset and magic.start[:1] == first)
    for first in {magic.start[:1] for magic in _MAGIC}
}
_LATER = tuple(magic for magic in _MAGIC if magic.offset)
_CONTROLS = bytes(code for code in (*range(32), 127) if code not in b"\t\n\r\f\x1b")


def named(head: bytes) -> str:
    """Return what a file is by its first BLOCK bytes (all, where it has fewer), "" where they say nothing."""
    for magic in (*_BY_BYTE.get(head[:1], ()), *_LATER):
        at, also = magic.also
        if head.startswith(magic.start, magic.offset) and head.startswith(also, at):
            return magic.kind
    if _is_old_tar(head):
        return TAR
    return SENTENCEPIECE if head[:1] == b"\n" and _is_sentencepiece(head) else ""


def is_text(start: bytes) -> bool:
    """Whether bytes from the start of a file are text.

    UTF-8 (but for a character that is cut at the end) without control characters.
    """
    text = start.decode("utf-8", "replace")
    return "\ufffd" not in text[:-4] and start.translate(None, _CONTROLS) == start


def _is_old_tar(head: bytes) -> bool:
    """Whether `head` is the header of a file in a tar archive from before archives said so.

    Its bytes add up to what it says.
    """
    if len(head) < BLOCK or not head[0]:
        return False
    field = head[148:156].strip(b"\0 ")
    if not field or field.strip(b"01234567"):
        return False
    return int(field, 8) == sum(head[:148]) + 8 * ord(" ") + sum(head[156:BLOCK])


def _is_sentencepiece(head: bytes) -> bool:
    """Whether `head` starts as SentencePiece's models do.

    A list of pieces (field 1), each of which starts with its text (field 1 again).
    """
    at = pieces = 0
    while at + 2 < len(head):
        length, start = _varint(head, at + 1)
        if head[at] != ord("\n") or (start < len(head) and head[start] != ord("\n")):
            break
        pieces, at = pieces + 1, start + length
    return pieces > 0


def _varint(data: bytes, at: int) -> tuple[int, int]:
    """Return (number, where it ends) of the protocol buffers' number at `at`."""
    value = shift = 0
    while at < len(data):
        value |= (data[at] & 0x7F) << shift
        at, shift = at + 1, shift + 7
        if data[at - 1] < 0x80:  # noqa: PLR2004 - the bit that says that more follows
            break
    return value, at
