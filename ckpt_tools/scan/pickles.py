"""Detects pickles by content, whatever the file is called, in containers too.

Files are read opcode by opcode and within bounds; nothing is ever unpickled. A list of imports is a
hint for people: no pickle is rated safe by it, since opcodes can assemble names at run time.
"""

from __future__ import annotations

import ast
import bz2
import io
import lzma
import os
import re
import sys
import warnings
import zipfile
import zlib
from typing import TYPE_CHECKING, Any

from ckpt_tools.scan import file_types
from ckpt_tools.scan.pickle_opcodes import OPCODES, scan

if TYPE_CHECKING:
    from typing import BinaryIO

    from ckpt_tools.scan.pickle_opcodes import Scan

SNIFF = file_types.BLOCK
"""Bytes at the start of a file by which containers are recognized."""

TEXT, WEIGHTS = "text", "weights"
"""What the name of a file, or its header, claims that it is."""

_WINDOW = 1 << 20
_PEEK = 64 << 10
_MAX_MEMBERS = 2_000
_MAX_DIRECTORY = 8 << 20
_TAIL = 66_000
_MAX_DICTIONARY = 128 << 20
"""Memory for decompression. An LZMA file could request any amount."""

_ZIP_END, _ZIP_ENTRY, _ZIP64_END = b"PK\x05\x06", b"PK\x01\x02", b"PK\x06\x07"
_LEGACY_TORCH = b"\x80\x02\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19."
_PROTO = b"\x80"
_PLAIN_DTYPES = re.compile(r"[<>|=]?(?:[?bBhHiIlLqQefdg]|[biufcSUVmMa]\d+(?:\[\w+\])?)")
"""NumPy types whose arrays are plain bytes."""

_NAME = re.compile(r"[^\W\d][\w.]*")
_LIBRARY = sys.stdlib_module_names | {
    *("__builtin__", "copy_reg", "exceptions", "cPickle", "commands"),
    *("torch", "numpy", "joblib", "sklearn"),
}
_METHODS = {
    file_types.GZIP: "gzip",
    file_types.BZ2: "bz2",
    file_types.XZ: "lzma",
    file_types.LZMA: "lzma",
}
_OPAQUE = file_types.ARCHIVES - {file_types.ZIP, file_types.TAR, *_METHODS}

type Pickle = tuple[str, tuple[str, ...]]
"""A description of the pickle that a file is or contains, and its imports; NONE if it has none."""

NONE: Pickle = ("", ())


def find_pickle(
    descriptor: int, size: int, head: bytes, *, is_zip: bool = False, claims: str = ""
) -> Pickle:
    """Return the pickle that a file is or contains. `head` holds its first SNIFF bytes.

    `is_zip` says that it ends as a zip archive. If the file claims to be TEXT or WEIGHTS, it counts
    as a pickle only if it would import and call something, or if it is complete and imports from
    Python's library: words and lengths are opcodes too.
    """
    kind = file_types.detect(head)
    if (is_zip or kind == file_types.ZIP) and (found := _in_zip(descriptor, size)) != NONE:
        return found
    with open(descriptor, "rb", closefd=False) as file:
        file.seek(0)
        if claims == WEIGHTS:
            return _program(file, size, is_disguised=True)
        return _by_type(file, kind, size, claims)


def _by_type(file: BinaryIO, kind: str, size: int, claims: str) -> Pickle:
    start = os.pread(file.fileno(), _PEEK, 0)
    if kind == file_types.TAR:
        return _in_tar(file.fileno(), size)
    if kind == file_types.NUMPY or kind in _OPAQUE:
        return _in_bytes(os.pread(file.fileno(), _WINDOW, 0), size)
    if start[:1] == b"{" and not kind:  # no opcode, and the start of nearly every JSON file
        return NONE
    is_disguised = claims == TEXT and file_types.is_text(start)
    method = _METHODS.get(kind) or ("zlib" if start[:1] == b"x" else "")
    if method:
        return _in_compressed(start, method, is_disguised=is_disguised)
    return _program(file, size, is_disguised=is_disguised)


def _program(file: BinaryIO, size: int, *, is_disguised: bool = False) -> Pickle:
    """Return the pickle that starts here; `is_disguised` says that it claims to be something else.

    `size` is the size of the whole, of which `file` may hold only the start.
    """
    start = file.read(len(_LEGACY_TORCH))
    file.seek(0)
    found = scan(file, size)
    if found.opcodes < (1 if found.overrun else 2):
        return NONE
    if found.overrun:
        return f"a pickle, or a file of more than {OPCODES:,} opcodes", found.imports
    is_pickle = bool(found.calls and found.imports)
    if is_disguised:
        known = any(name.partition(".")[0] in _LIBRARY for name in found.imports)
        is_pickle |= found.end > 0 and known
    else:
        is_pickle |= start[:1] == _PROTO or _is_complete(file, size, found)
    return (_protocol(start), found.imports) if is_pickle else NONE


def _protocol(start: bytes) -> str:
    if start == _LEGACY_TORCH:
        return "a pickle (PyTorch's old format)"
    version = str(start[1]) if start[:1] == _PROTO else "0 or 1"
    return f"a pickle (protocol {version})"


def _is_complete(file: BinaryIO, size: int, found: Scan) -> bool:
    """Whether a pickle ends and imports something, or is all of the file."""
    if any(map(_NAME.fullmatch, found.imports)):
        return found.end > 0
    rest = size - found.end
    file.seek(found.end)
    return (
        found.end > 0 and found.opcodes > 2 and rest < SNIFF and not file.read(rest).strip()  # noqa: PLR2004 - a mark, something, an end
    )


def _in_bytes(data: bytes, size: int) -> Pickle:
    """Return the pickle in a member of a container, `size` bytes of which `data` are the first."""
    kind = file_types.detect(data[:SNIFF])
    if kind in file_types.ARCHIVES:
        return f"{kind}, which is not inspected", ()
    return _in_numpy(data) if kind == file_types.NUMPY else _program(io.BytesIO(data), size)


# --- containers -----------------------------------------------------------------------------------


def ends_as_zip(descriptor: int, size: int) -> bool:
    """Whether a file ends as a zip archive does: readers look for that end, whatever precedes it.

    The record at the end has the length of the list of files before it, which starts with a mark.
    """
    first = max(0, size - _TAIL)
    tail = os.pread(descriptor, _TAIL, first)
    at = tail.rfind(_ZIP_END)
    while at >= 0:
        start = first + at - int.from_bytes(tail[at + 12 : at + 16], "little")
        if tail.startswith(_ZIP64_END, max(at - 20, 0)) or (
            0 <= start < first + at and os.pread(descriptor, 4, start) == _ZIP_ENTRY
        ):
            return True
        at = tail.rfind(_ZIP_END, 0, at)
    return False


def _in_numpy(data: bytes) -> Pickle:
    start = 12 if data[6:7] > b"\x01" else 10
    end = start + int.from_bytes(data[8:start], "little")
    header = data[start:end].decode("latin-1").strip()
    try:
        with warnings.catch_warnings(action="ignore"):  # of escapes in the header's strings
            if _is_plain(ast.literal_eval(header)["descr"]):
                return NONE
    except (ValueError, SyntaxError, KeyError, TypeError, IndexError, MemoryError, RecursionError):
        pass  # a header that cannot be read does not declare plain values
    _, imports = _program(io.BytesIO(data[end:]), len(data) - end)
    return "a NumPy array of pickled Python objects", imports


def _is_plain(dtype: Any) -> bool:  # noqa: ANN401 - any Python literal
    if isinstance(dtype, str):
        return _PLAIN_DTYPES.fullmatch(dtype) is not None
    if isinstance(dtype, tuple):
        return len(dtype) == 2 and _is_plain(dtype[0])  # noqa: PLR2004 - a type and a shape
    return bool(dtype) and all(_is_plain(field[1]) for field in dtype)


def _in_compressed(data: bytes, method: str, *, is_disguised: bool) -> Pickle:
    """Return the pickle in a compressed file, such as joblib writes, by its start."""
    inside = decompress(data, method, _WINDOW)
    if inside is None:
        is_zlib = method == "zlib"  # recognized by one letter, which may be an opcode as well
        file = io.BytesIO(data)
        return _program(file, len(data), is_disguised=is_disguised) if is_zlib else NONE
    kind, imports = _in_bytes(inside, len(inside) + (len(inside) == _WINDOW))
    return (f"{kind}, compressed with {method}" if kind else "", imports)


def decompress(data: bytes, method: str, limit: int) -> bytes | None:
    """Return the first `limit` bytes that `data` decompresses to, None if it is broken.

    `method` is gzip, zlib, bz2 or lzma.
    """
    try:
        if method == "bz2":
            return bz2.BZ2Decompressor().decompress(data, limit)
        if method == "lzma":
            return lzma.LZMADecompressor(memlimit=_MAX_DICTIONARY).decompress(data, limit)
        return zlib.decompressobj(31 if method == "gzip" else 15).decompress(data, limit)
    except (zlib.error, OSError, lzma.LZMAError, ValueError, EOFError, MemoryError):
        return None


def _in_tar(descriptor: int, size: int) -> Pickle:
    """Return the pickle in a tar archive, by the start of each file (PyTorch's oldest format)."""
    at = 0
    for _ in range(_MAX_MEMBERS):
        head = os.pread(descriptor, SNIFF, at)
        if at >= size or len(head) < SNIFF or not head[0]:
            return NONE
        length = _octal(head[124:136])
        kind, imports = _in_bytes(os.pread(descriptor, min(_PEEK, length), at + SNIFF), length)
        if kind:
            name = head[:100].rstrip(b"\0").decode("utf-8", "replace")
            return f"a tar archive that contains {kind} ({name})", imports
        at += SNIFF + (length + SNIFF - 1) // SNIFF * SNIFF
    return "" if at >= size else f"a tar archive of more than {_MAX_MEMBERS:,} files", ()


def _octal(field: bytes) -> int:
    try:
        return max(int(field.rstrip(b"\0 ") or b"0", 8), 0)
    except ValueError:
        return 0


def _in_zip(descriptor: int, size: int) -> Pickle:
    """Return the pickle, or array of pickles, in a zip archive (PyTorch's format)."""
    tail = os.pread(descriptor, _TAIL, max(0, size - _TAIL))
    at = tail.rfind(_ZIP_END)
    if at < 0 or int.from_bytes(tail[at + 12 : at + 16], "little") > _MAX_DIRECTORY:
        return "a zip archive whose list of files cannot be read", ()
    try:
        with (
            open(descriptor, "rb", closefd=False) as file,
            zipfile.ZipFile(file) as archive,
        ):
            return _in_members(archive)
    except Exception:  # noqa: BLE001 - the module raises a dozen kinds of errors on damaged archives
        return "a zip archive that cannot be read", ()


def _in_members(archive: zipfile.ZipFile) -> Pickle:
    names = archive.namelist()
    for name in names[:_MAX_MEMBERS]:
        with archive.open(name) as file:
            data = file.read(_WINDOW if name.endswith((".pkl", ".npy")) else _PEEK)
        kind, imports = _in_bytes(data, archive.getinfo(name).file_size)
        if kind or name.endswith((".pkl", ".pickle")):
            return f"a zip archive that contains {kind or 'a pickle'} ({name})", imports
    too_many = len(names) > _MAX_MEMBERS
    return f"a zip archive of more than {_MAX_MEMBERS:,} files" if too_many else "", ()
