"""Detects the type of a file by its first bytes.

No I/O. Nothing is unpacked, and the file's name does not matter.
"""

from __future__ import annotations

from typing import NamedTuple


class Magic(NamedTuple):
    """The bytes that identify a type of file, `offset` bytes from its start.

    `also` is a second (offset, bytes) that must match.
    """

    file_type: str
    start: bytes
    offset: int = 0
    also: tuple[int, bytes] = (0, b"")


PNG, JPEG, GIF, WEBP = "a PNG image", "a JPEG image", "a GIF image", "a WebP image"
MP4, PDF, NUMPY, SQLITE = "an MP4 video", "a PDF", "a NumPy array", "an SQLite database"
SENTENCEPIECE, GGUF, HDF5 = "a SentencePiece model", "a GGUF model", "an HDF5 file"
ZIP, TAR, GZIP, BZ2 = "a zip archive", "a tar archive", "a gzip file", "a bzip2 file"
XZ, LZMA, ZSTD, LZ4 = "an xz file", "an LZMA file", "a Zstandard file", "an LZ4 file"
SEVEN, RAR, CABINET, AR = "a 7z archive", "a RAR archive", "a cabinet archive", "an ar archive"
ELF, PE, MACHO = "an ELF program", "a Windows program", "a Mach-O program or a Java class"
WASM, SCRIPT = "a WebAssembly program", "a script"

IMAGES = frozenset((PNG, JPEG, GIF, WEBP))
ARCHIVES = frozenset((ZIP, TAR, GZIP, BZ2, XZ, LZMA, ZSTD, LZ4, SEVEN, RAR, CABINET, AR))
PROGRAMS = frozenset((ELF, PE, MACHO, WASM, SCRIPT))

BLOCK = 512
"""Bytes that `detect` takes: the header of a file in a tar archive."""

_MAGIC = (
    Magic(PNG, b"\x89PNG\r\n\x1a\n"),
    Magic(JPEG, b"\xff\xd8\xff"),
    Magic(GIF, b"GIF87a"),
    Magic(GIF, b"GIF89a"),
    Magic(WEBP, b"RIFF", also=(8, b"WEBP")),
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
    Magic(MP4, b"ftyp", 4),
    Magic(TAR, b"ustar", 257),
)
"""In order of precedence: what starts at the start of the file comes first."""

_ELSEWHERE = tuple(magic for magic in _MAGIC if magic.offset)
_AT_START = {
    magic.start[:1]: tuple(one for one in _MAGIC if one.start[:1] == magic.start[:1])
    for magic in _MAGIC
    if not magic.offset
}
"""The types that begin with a byte."""

_CONTROLS = bytes(code for code in (*range(32), 127) if code not in b"\t\n\r\f\x1b")


def detect(head: bytes) -> str:
    """Return the type of a file by its first BLOCK bytes, "" where they do not tell."""
    for magic in (*_AT_START.get(head[:1], ()), *_ELSEWHERE):
        at, also = magic.also
        if head.startswith(magic.start, magic.offset) and head.startswith(also, at):
            return magic.file_type
    if _is_old_tar(head):
        return TAR
    return SENTENCEPIECE if head[:1] == b"\n" and _is_sentencepiece(head) else ""


def is_text(start: bytes) -> bool:
    """Whether the start of a file is UTF-8 without control characters.

    A character may be cut at the end.
    """
    text = start.decode("utf-8", "replace")
    return "\ufffd" not in text[:-4] and start.translate(None, _CONTROLS) == start


def _is_old_tar(head: bytes) -> bool:
    """Whether `head` is a tar header without a magic number: its bytes add up to its checksum."""
    if len(head) < BLOCK or not head[0]:
        return False
    field = head[148:156].strip(b"\0 ")
    if not field or field.strip(b"01234567"):
        return False
    return int(field, 8) == sum(head[:148]) + 8 * ord(" ") + sum(head[156:BLOCK])


def _is_sentencepiece(head: bytes) -> bool:
    """Whether `head` starts as a SentencePiece model does.

    That is a list of pieces (field 1), each of which starts with its text (field 1 again).
    """
    at = pieces = 0
    while at + 2 < len(head):
        length, start = _varint(head, at + 1)
        if head[at] != ord("\n") or (start < len(head) and head[start] != ord("\n")):
            break
        pieces, at = pieces + 1, start + length
    return pieces > 0


def _varint(data: bytes, at: int) -> tuple[int, int]:
    """Return the Protocol Buffers varint at `at`, and where it ends."""
    value = shift = 0
    while at < len(data):
        value |= (data[at] & 0x7F) << shift
        at, shift = at + 1, shift + 7
        if data[at - 1] < 0x80:  # noqa: PLR2004 - the bit that says that more follows
            break
    return value, at
