"""Pickles by content, whatever the name: what a file is and what it would import, read by opcode and within bounds. Nothing is ever unpickled.

A list of imports is a hint for people. No pickle is rated safe by it: opcodes can build names that no reader of opcodes sees.
"""

from __future__ import annotations

import importlib
import os
import re
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator

SNIFF = 512
"""Bytes of a file that tell containers: the magic of a tar archive stands at 257."""

_WINDOW = 1 << 20
_PEEK = 64 << 10
_OPCODES = 200_000
_MEMBERS = 2_000
_DIRECTORY = 8 << 20
_IMPORTS = 50

_FIRST = frozenset(b"(.012FIJKLMNPQRSTUVXabcd}eghijl]opqrstu)G\x80\x8a\x8b\x88\x89\x85\x86\x87\x8c\x8f\x95")
_LEGACY_TORCH = b"\x80\x02\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19."
_OBJECTS = re.compile(rb"""['"][|<>=]?O\d*['"]""")
_NAME = re.compile(r"[A-Za-z_][\w.]*")
_CALLS = frozenset(("REDUCE", "BUILD", "OBJ", "NEWOBJ", "NEWOBJ_EX"))
_SEALED = ((b"7z\xbc\xaf\x27\x1c", "a 7z archive"), (b"Rar!\x1a\x07", "a RAR archive"))
_PACKED = ((b"\x1f\x8b", "gzip"), (b"BZh", "bz2"), (b"\xfd7zXZ\0", "lzma"), (b"\x78", "zlib"))


class Scan(NamedTuple):
    """What the opcodes of a pickle say: how many could be read, whether they came to an end, what they import, whether they call anything."""

    opcodes: int
    ended: bool
    imports: tuple[str, ...]
    calls: bool


def look(descriptor: int, size: int, head: bytes) -> tuple[str, tuple[str, ...]]:
    """Return (what kind of pickle a file is, what it imports), ("", ()) for none. `head` are its first bytes, SNIFF or all."""
    if head.startswith(b"PK\x03\x04"):
        return _in_zip(descriptor, size)
    sealed = next((words for magic, words in _SEALED if head.startswith(magic)), "")
    if sealed:
        return f"{sealed}, in which pickles have been hidden from scanners", ()
    if head[257:262] == b"ustar":
        return _in_tar(descriptor, size)
    packed = next((name for magic, name in _PACKED if head.startswith(magic)), "")
    if packed:
        return _in_packed(os.pread(descriptor, _PEEK, 0), packed)
    if head[:1] and head[0] in _FIRST:
        return pickled(os.pread(descriptor, _WINDOW, 0))
    return _in_numpy(os.pread(descriptor, _WINDOW, 0)) if head.startswith(b"\x93NUMPY") else ("", ())


def pickled(data: bytes) -> tuple[str, tuple[str, ...]]:
    """Return what kind of pickle `data` starts with and what it imports, as `look` does."""
    if not data or data[0] not in _FIRST:
        return "", ()
    found = scan(data)
    if data.startswith(_LEGACY_TORCH):
        return "a pickle (PyTorch's old format)", found.imports
    if data[0] == 0x80 and found.opcodes > 1:  # noqa: PLR2004 - the opcode PROTO
        return f"a pickle (protocol {data[1]})", found.imports
    if any(map(_is_name, found.imports)) and (found.calls or found.ended):
        return "a pickle (protocol 0 or 1)", found.imports
    return ("a pickle (protocol 0 or 1)", ()) if _is_whole(data, found) else ("", ())


def scan(data: bytes) -> Scan:
    """Return what the opcodes at the start of `data` say, up to the first that is none; several pickles may follow each other."""
    count, imports, calls, ended = 0, dict[str, None](), False, False
    strings: list[str] = []
    marked = False
    for name, argument in _opcodes(data):
        count += 1
        ended = ended or name == "STOP"
        marked = marked or name == "MARK"
        calls = calls or name in _CALLS or (name == "INST" and marked)
        if name in ("GLOBAL", "INST"):
            imports[str(argument).replace(" ", ".", 1)] = None
        elif name == "STACK_GLOBAL":
            imports[".".join(strings[-2:]) or "a name that is put together when it runs"] = None
        elif isinstance(argument, str):
            strings = [*strings[-1:], argument]
    return Scan(count, ended, tuple(imports)[:_IMPORTS], calls)


def _opcodes(data: bytes) -> Iterator[tuple[str, object]]:
    """Yield (name, argument) of each opcode, of one pickle after another, as far as they can be read."""
    tools = importlib.import_module("pickletools")
    stream = importlib.import_module("io").BytesIO(data)
    left = _OPCODES
    while left > 0 and stream.tell() < len(data):
        try:
            for opcode, argument, _ in tools.genops(stream):
                left -= 1
                yield opcode.name, argument
                if left <= 0:
                    return
        except Exception:  # noqa: BLE001 - whatever the reader of opcodes stumbles over, the pickle has ended for us; what came before would have run
            return


def _is_name(dotted: str) -> bool:
    return _NAME.fullmatch(dotted) is not None


def _is_whole(data: bytes, found: Scan) -> bool:
    """Whether `data` without a protocol number is a whole pickle of plain values: words in a text may look like its first opcodes."""
    if not found.ended or found.opcodes < 3 or not data.rstrip().endswith(b"."):  # noqa: PLR2004 - a mark, something, an end
        return False
    tools, io = importlib.import_module("pickletools"), importlib.import_module("io")
    try:
        tools.dis(io.BytesIO(data), out=io.StringIO())
    except Exception:  # noqa: BLE001 - as above
        return False
    return True


# --- containers ------------------------------------------------------------------------------------------------------------


def _in_numpy(data: bytes) -> tuple[str, tuple[str, ...]]:
    wide = data[6:7] > b"\x01"
    start = 12 if wide else 10
    length = int.from_bytes(data[8:start], "little")
    if not _OBJECTS.search(data[start : start + length]):
        return "", ()
    return "a numpy array of Python objects, which are pickled", pickled(data[start + length :])[1]


def _in_packed(data: bytes, method: str) -> tuple[str, tuple[str, ...]]:
    """Look at the start of what a compressed file holds: joblib compresses its pickles."""
    try:
        module = importlib.import_module("zlib" if method == "gzip" else method)
        unpacker: Any = {"gzip": lambda: module.decompressobj(31), "zlib": getattr(module, "decompressobj", None)}.get(method)
        if unpacker:
            inside = unpacker().decompress(data, _WINDOW)
        else:
            inside = (module.BZ2Decompressor() if method == "bz2" else module.LZMADecompressor()).decompress(data, _WINDOW)
    except Exception:  # noqa: BLE001 - what cannot be unpacked is no pickle that any reader unpacks
        return ("", ()) if method != "zlib" else pickled(data)
    kind, imports = pickled(inside)
    return (f"{kind}, compressed with {method}" if kind else "", imports)


def _in_tar(descriptor: int, size: int) -> tuple[str, tuple[str, ...]]:
    """Look at the start of every file in a tar archive; PyTorch's oldest format is one."""
    at = 0
    for _ in range(_MEMBERS):
        head = os.pread(descriptor, SNIFF, at)
        if len(head) < SNIFF or not head[0]:
            return "", ()
        length = _octal(head[124:136])
        name = head[:100].rstrip(b"\0").decode("utf-8", "replace")
        kind, imports = pickled(os.pread(descriptor, min(_PEEK, length), at + SNIFF))
        if kind:
            return f"a tar archive that holds {kind} ({name})", imports
        at += SNIFF + (length + SNIFF - 1) // SNIFF * SNIFF
        if at >= size:
            return "", ()
    return "a tar archive of more files than are looked at", ()


def _octal(field: bytes) -> int:
    try:
        return int(field.rstrip(b"\0 ") or b"0", 8)
    except ValueError:
        return 0


def _in_zip(descriptor: int, size: int) -> tuple[str, tuple[str, ...]]:
    """Look at the pickles in a zip archive (PyTorch's format), and at numpy arrays in it."""
    tail = os.pread(descriptor, 66_000, max(0, size - 66_000))
    at = tail.rfind(b"PK\x05\x06")
    if at < 0 or int.from_bytes(tail[at + 12 : at + 16], "little") > _DIRECTORY:
        return "a zip archive whose list of files cannot be read", ()
    try:
        with os.fdopen(os.dup(descriptor), "rb") as file, importlib.import_module("zipfile").ZipFile(file) as archive:
            return _in_members(archive)
    except Exception:  # noqa: BLE001 - the module raises a dozen kinds of errors on damaged archives
        return "a zip archive that cannot be read", ()


def _in_members(archive: Any) -> tuple[str, tuple[str, ...]]:  # noqa: ANN401 - a zipfile.ZipFile, which is imported late
    names = archive.namelist()
    for name in names[:_MEMBERS]:
        with archive.open(name) as file:
            data = file.read(_WINDOW if name.endswith((".pkl", ".npy")) else _PEEK)
        kind, imports = _in_numpy(data) if data.startswith(b"\x93NUMPY") else pickled(data)
        if kind or name.endswith((".pkl", ".pickle")):
            return f"a zip archive that holds {kind or 'a pickle'} ({name})", imports
    return ("a zip archive of more files than are looked at", ()) if len(names) > _MEMBERS else ("", ())
