"""Pickles by content, whatever the name.

What a file is and what it would import, read by opcode and within bounds. Nothing is ever
unpickled.

A list of imports is a hint for people. No pickle is rated safe by it: opcodes can build names that
no reader of opcodes sees.
"""

from __future__ import annotations

import ast
import importlib
import os
import re
import sys
from typing import TYPE_CHECKING, Any

from ckpt_tools.scan import file_types
from ckpt_tools.scan.pickle_opcodes import OPCODES, scan

if TYPE_CHECKING:
    from collections.abc import Callable

    from ckpt_tools.scan.pickle_opcodes import Scan

SNIFF = file_types.BLOCK
"""Bytes of a file that tell containers."""

TEXT, WEIGHTS = "text", "weights"
"""What a file may want to pass for."""

_WINDOW = 1 << 20
_PEEK = 64 << 10
_MEMBERS = 2_000
_DIRECTORY = 8 << 20
_TAIL = 66_000
_DICTIONARY = 128 << 20
"""Memory that unpacking may take. An LZMA file asks for as much as it likes."""

_LEGACY_TORCH = b"\x80\x02\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19."
_PROTO = b"\x80"
_NUMBERS = re.compile(r"[<>|=]?(?:[?bBhHiIlLqQefdg]|[biufcSUVmMa]\d+(?:\[\w+\])?)")
"""Types of numpy whose arrays are plain bytes."""

_NAME = re.compile(r"[^\W\d][\w.]*")
_OLD_NAMES = frozenset(
    (
        "__builtin__",
        "copy_reg",
        "exceptions",
        "cPickle",
        "commands",
        "torch",
        "numpy",
        "joblib",
        "sklearn",
    )
)
_LIBRARY = frozenset(sys.stdlib_module_names) | _OLD_NAMES
_SEALED = frozenset(
    (
        file_types.SEVEN,
        file_types.RAR,
        file_types.CABINET,
        file_types.AR,
        file_types.ZSTD,
        file_types.LZ4,
    )
)
_METHODS = {
    file_types.GZIP: "gzip",
    file_types.BZ2: "bz2",
    file_types.XZ: "lzma",
    file_types.LZMA: "lzma",
}

type _Told = tuple[str, tuple[str, ...]]
"""What kind of pickle something is, in words, and what it imports; ("", ()) for none."""


def look(
    descriptor: int, size: int, head: bytes, *, is_zip: bool = False, wants: str = ""
) -> _Told:
    """Return (what kind of pickle a file is, what it imports), ("", ()) for none.

    `head` are its first bytes, SNIFF or all.

    `is_zip` says that it ends as a zip archive. `wants` is what it wants to pass for, TEXT or
    WEIGHTS (its header looks like one). If it does, it is a pickle only if it would import and call
    something, or come to its end with a name of Python's library: words and lengths are opcodes
    too.
    """
    kind = file_types.named(head)
    found: _Told = _in_zip(descriptor, size) if is_zip or kind == file_types.ZIP else ("", ())
    if found[0]:
        return found
    if wants == WEIGHTS:
        return pickled(_reader(descriptor), size, passes=True)
    if kind in _SEALED:
        return f"{kind}, into which nobody looks", ()
    if head[:1] == b"{" and not kind:  # no opcode, and the start of nearly every JSON file
        return "", ()
    return _in_kind(
        kind,
        descriptor,
        size,
        passes=wants == TEXT and file_types.is_text(os.pread(descriptor, _PEEK, 0)),
    )


def _in_kind(kind: str, descriptor: int, size: int, *, passes: bool) -> _Told:
    if kind == file_types.TAR:
        return _in_tar(descriptor, size)
    if kind == file_types.NUMPY:
        return _in_numpy(os.pread(descriptor, _WINDOW, 0))
    method = _METHODS.get(kind) or ("zlib" if os.pread(descriptor, 1, 0) == b"x" else "")
    if method:
        return _in_packed(os.pread(descriptor, _PEEK, 0), method, passes=passes)
    return pickled(_reader(descriptor), size, passes=passes)


def _reader(descriptor: int) -> Callable[[int, int], bytes]:
    return lambda at, count: os.pread(descriptor, count, at)


def pickled(read: Callable[[int, int], bytes], size: int, *, passes: bool = False) -> _Told:
    """Return what kind of pickle starts here and what it imports, as `look` does.

    `passes` says that it passes for something else.
    """
    found = scan(read, size)
    if found.opcodes < (1 if found.overrun else 2):
        return "", ()
    start = read(0, len(_LEGACY_TORCH))
    if found.overrun:
        return (
            f"a pickle, or a file of more than {OPCODES:,} opcodes that nobody has followed to the end",
            found.imports,
        )
    if found.calls and found.imports:
        return _named(start), found.imports
    if passes:
        known = any(name.partition(".")[0] in _LIBRARY for name in found.imports)
        return (_named(start), found.imports) if found.end and known else ("", ())
    if (
        start[:1] == _PROTO
        or (found.end and any(map(_is_name, found.imports)))
        or _is_whole(read, size, found)
    ):
        return _named(start), found.imports
    return "", ()


def _named(start: bytes) -> str:
    if start == _LEGACY_TORCH:
        return "a pickle (PyTorch's old format)"
    return (
        f"a pickle (protocol {start[1]})" if start[:1] == _PROTO else "a pickle (protocol 0 or 1)"
    )


def _is_name(dotted: str) -> bool:
    return _NAME.fullmatch(dotted) is not None


def _is_whole(read: Callable[[int, int], bytes], size: int, found: Scan) -> bool:
    """Whether what starts here is a whole pickle of plain values and nothing else."""
    rest = size - found.end
    return (
        found.end > 0 and found.opcodes > 2 and rest < SNIFF and not read(found.end, rest).strip()  # noqa: PLR2004 - a mark, something, an end
    )


def _in_bytes(data: bytes, size: int) -> _Told:
    """Look at the start of what a container holds, `size` bytes of which `data` are the first.

    Into a container in it nobody looks.
    """
    kind = file_types.named(data[:SNIFF])
    if kind in file_types.ARCHIVES:
        return f"{kind}, into which nobody looks", ()
    return (
        _in_numpy(data)
        if kind == file_types.NUMPY
        else pickled(lambda at, count: data[at : at + count], size)
    )


# --- containers -----------------------------------------------------------------------------------


def ends_as_zip(descriptor: int, size: int) -> bool:
    """Whether a file ends as a zip archive does.

    Readers look for that end behind whatever the file starts with.

    The record at the end says how long the list of files before it is, and that list has a mark at
    its start.
    """
    first = max(0, size - _TAIL)
    tail = os.pread(descriptor, _TAIL, first)
    at = tail.rfind(b"PK\x05\x06")
    while at >= 0:
        start = first + at - int.from_bytes(tail[at + 12 : at + 16], "little")
        if tail.startswith(b"PK\x06\x07", max(at - 20, 0)) or (
            0 <= start < first + at and os.pread(descriptor, 4, start) == b"PK\x01\x02"
        ):
            return True
        at = tail.rfind(b"PK\x05\x06", 0, at)
    return False


def _in_numpy(data: bytes) -> _Told:
    wide = data[6:7] > b"\x01"
    start = 12 if wide else 10
    length = int.from_bytes(data[8:start], "little")
    if _is_plain(data[start : start + length]):
        return "", ()
    after = data[start + length :]
    return "a numpy array of Python objects, which are pickled", pickled(
        lambda at, count: after[at : at + count], len(after)
    )[1]


def _is_plain(header: bytes) -> bool:
    """Whether the header of a numpy array names types whose values are no objects.

    One that cannot be read does not.
    """
    try:
        value = ast.literal_eval(header.decode("latin-1").strip())
        return _is_number(value["descr"])
    except (ValueError, SyntaxError, KeyError, TypeError, IndexError, MemoryError, RecursionError):
        return False


def _is_number(description: Any) -> bool:  # noqa: ANN401 - whatever a literal may be
    if isinstance(description, str):
        return _NUMBERS.fullmatch(description) is not None
    if isinstance(description, tuple):
        return len(description) == 2 and _is_number(description[0])  # noqa: PLR2004 - a type and a shape
    return bool(description) and all(_is_number(field[1]) for field in description)


def _in_packed(data: bytes, method: str, *, passes: bool) -> _Told:
    """Look at the start of what a compressed file holds: joblib compresses its pickles."""
    try:
        inside = _unpacked(data, method)
    except Exception:  # noqa: BLE001 - what cannot be unpacked is no pickle that any reader unpacks
        return (
            ("", ())
            if method != "zlib"
            else pickled(lambda at, count: data[at : at + count], len(data), passes=passes)
        )
    kind, imports = _in_bytes(inside, len(inside) + (len(inside) == _WINDOW))
    return (f"{kind}, compressed with {method}" if kind else "", imports)


def _unpacked(data: bytes, method: str) -> bytes:
    module = importlib.import_module("zlib" if method == "gzip" else method)
    unpacker: Any
    if method in ("gzip", "zlib"):
        unpacker = module.decompressobj(31 if method == "gzip" else 15)
    else:
        unpacker = (
            module.BZ2Decompressor()
            if method == "bz2"
            else module.LZMADecompressor(memlimit=_DICTIONARY)
        )
    inside: bytes = unpacker.decompress(data, _WINDOW)
    return inside


def _in_tar(descriptor: int, size: int) -> _Told:
    """Look at the start of every file in a tar archive; PyTorch's oldest format is one."""
    at = 0
    for _ in range(_MEMBERS):
        head = os.pread(descriptor, SNIFF, at)
        if len(head) < SNIFF or not head[0]:
            return "", ()
        length = _octal(head[124:136])
        name = head[:100].rstrip(b"\0").decode("utf-8", "replace")
        kind, imports = _in_bytes(os.pread(descriptor, min(_PEEK, length), at + SNIFF), length)
        if kind:
            return f"a tar archive that holds {kind} ({name})", imports
        at += SNIFF + (length + SNIFF - 1) // SNIFF * SNIFF
        if at >= size:
            return "", ()
    return "a tar archive of more files than are looked at", ()


def _octal(field: bytes) -> int:
    try:
        return max(int(field.rstrip(b"\0 ") or b"0", 8), 0)
    except ValueError:
        return 0


def _in_zip(descriptor: int, size: int) -> _Told:
    """Look at the pickles in a zip archive (PyTorch's format), and at numpy arrays in it."""
    tail = os.pread(descriptor, _TAIL, max(0, size - _TAIL))
    at = tail.rfind(b"PK\x05\x06")
    if at < 0 or int.from_bytes(tail[at + 12 : at + 16], "little") > _DIRECTORY:
        return "a zip archive whose list of files cannot be read", ()
    try:
        with (
            os.fdopen(os.dup(descriptor), "rb") as file,
            importlib.import_module("zipfile").ZipFile(file) as archive,
        ):
            return _in_members(archive)
    except Exception:  # noqa: BLE001 - the module raises a dozen kinds of errors on damaged archives
        return "a zip archive that cannot be read", ()


def _in_members(archive: Any) -> _Told:  # noqa: ANN401 - a zipfile.ZipFile, which is imported late
    names = archive.namelist()
    for name in names[:_MEMBERS]:
        with archive.open(name) as file:
            data = file.read(_WINDOW if name.endswith((".pkl", ".npy")) else _PEEK)
        kind, imports = _in_bytes(data, archive.getinfo(name).file_size)
        if kind or name.endswith((".pkl", ".pickle")):
            return f"a zip archive that holds {kind or 'a pickle'} ({name})", imports
    return (
        ("a zip archive of more files than are looked at", ())
        if len(names) > _MEMBERS
        else ("", ())
    )
