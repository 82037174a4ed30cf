"""Interprets the opcodes of a pickle: what it would import, and whether it would call any of it.

Nothing is imported or called. The interpreter keeps the stack, the marks and the memo of CPython's
unpickler, with kinds in place of values, so it stops where CPython's would: words of a text may
look like opcodes, but they take from an empty stack what a pickle has put there. The table of
opcodes is `pickletools`'.
"""

from __future__ import annotations

import pickle
import pickletools
import re
from enum import Enum
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from typing import BinaryIO

OPCODES = 200_000
"""Number of opcodes that are followed. Plain text never comes near it."""

ASSEMBLED = "a name that is assembled at run time"

_LINE = 64 << 10
"""Longest line that an opcode may read: names and numbers are shorter, longer texts are binary."""

_KEPT = 512
_MAX_IMPORTS = 50
_TABLE = {opcode.code.encode("latin-1"): opcode for opcode in pickletools.opcodes}
_LENGTH_BYTES = {
    pickletools.TAKEN_FROM_ARGUMENT1: 1,
    pickletools.TAKEN_FROM_ARGUMENT4: 4,
    pickletools.TAKEN_FROM_ARGUMENT4U: 4,
    pickletools.TAKEN_FROM_ARGUMENT8U: 8,
}
_TEXTS = (pickletools.pyunicode, pickletools.pybytes_or_str)
_IMPORTS = frozenset(("GLOBAL", "INST", "STACK_GLOBAL"))
_CALLS = frozenset(("REDUCE", "BUILD", "NEWOBJ", "NEWOBJ_EX", "OBJ"))
_LIVE = frozenset(("PERSID", "BINPERSID", "EXT1", "EXT2", "EXT4"))
_PUTS = frozenset(("PUT", "BINPUT", "LONG_BINPUT"))
_GETS = frozenset(("GET", "BINGET", "LONG_BINGET"))
_KEEPS = frozenset(("APPEND", "APPENDS", "SETITEM", "SETITEMS", "ADDITEMS", "MEMOIZE", "DUP"))
_OCTAL = re.compile(rb"\s*[+-]?0[0-7]+")
_STRING = re.compile(rb"""\s*(['"])(?P<text>.*)\1\s*""", re.DOTALL)


class Kind(Enum):
    """A value on the stack that is not text: plain, or imported or made by what was imported."""

    PLAIN = 0
    LIVE = 1


PLAIN, LIVE = Kind.PLAIN, Kind.LIVE


class Scan(NamedTuple):
    """The opcodes that were run, where the last complete pickle ends, its imports and calls.

    `calls` is true if anything imported is called. `overrun` is true if opcodes continue after
    OPCODES of them, or after the bytes at hand.
    """

    opcodes: int
    end: int
    imports: tuple[str, ...]
    calls: bool
    overrun: bool = False


def scan(file: BinaryIO, size: int) -> Scan:
    """Run the opcodes of `file` up to the first at which CPython's unpickler would stop.

    Pickles may follow each other. `size` is the size of the whole, of which `file` may hold only
    the start.
    """
    interpreter, count, end, overrun = _Interpreter(), 0, 0, False
    try:
        while code := file.read(1):
            if count >= OPCODES:
                overrun = True
                break
            opcode = _TABLE[code]
            interpreter.step(opcode, _arguments(file, size, opcode))
            count += 1
            if opcode.name == "STOP":
                end = file.tell()
                interpreter.start()
        else:
            overrun = file.tell() < size
    except EOFError:
        overrun = True
    except (ValueError, IndexError, KeyError):
        pass  # CPython fails here too, after it has run everything before
    imports = tuple(interpreter.imports)[:_MAX_IMPORTS]
    return Scan(count, end, imports, interpreter.calls, overrun)


def _arguments(file: BinaryIO, size: int, opcode: pickletools.OpcodeInfo) -> tuple[bytes, ...]:
    """Read the arguments of an opcode: one or two lines, or bytes, of which the start is kept.

    Raises ValueError where the whole is too short, EOFError where only the bytes at hand are.
    """
    if opcode.arg is None:
        return ()
    length = opcode.arg.n
    if length == pickletools.UP_TO_NEWLINE:
        return tuple(_line(file, size) for _ in range(1 + opcode.arg.name.endswith("_pair")))
    if length < 0:
        length = int.from_bytes(file.read(_LENGTH_BYTES[length]), "little")
    if length > size - file.tell():
        raise ValueError
    data = file.read(min(length, _KEPT))
    if length > _KEPT:
        file.seek(length - _KEPT, 1)
    return (data,)


def _line(file: BinaryIO, size: int) -> bytes:
    line = file.readline(_LINE)
    if not line.endswith(b"\n"):
        raise EOFError if len(line) < _LINE and file.tell() < size else ValueError
    return line[:-1]


class _Interpreter:
    """Raises IndexError, KeyError or ValueError where CPython's unpickler fails."""

    def __init__(self) -> None:
        self.imports: dict[str, None] = {}
        self.calls = False
        self.start()

    def start(self) -> None:
        """Forget the stack and the memo: another pickle starts."""
        self._stack: list[str | Kind] = []
        self._marked: list[list[str | Kind]] = []
        self._memo: dict[int, str | Kind] = {}

    def step(self, opcode: pickletools.OpcodeInfo, arguments: tuple[bytes, ...]) -> None:
        """Run one opcode."""
        if opcode.name == "MARK":
            self._marked.append(self._stack)
            self._stack = []
        elif opcode.name == "POP" and not self._stack:
            self._stack = self._marked.pop()
        elif opcode.name in _PUTS:
            self._memo[_index(arguments[0], opcode)] = self._stack[-1]
        else:
            operands = self._operands(opcode.stack_before)
            self._stack += self._results(opcode, operands, arguments)

    def _operands(self, before: list[pickletools.StackObject]) -> list[str | Kind]:
        """Take the operands of an opcode from the stack, down to the last mark where it says so."""
        items: list[str | Kind] = []
        count = len(before)
        if pickletools.markobject in before:
            items, self._stack = self._stack, self._marked.pop()
            count = before.index(pickletools.markobject)
        if count > len(self._stack):
            raise IndexError
        start = len(self._stack) - count
        taken = self._stack[start:] + items
        del self._stack[start:]
        return taken

    def _results(
        self,
        opcode: pickletools.OpcodeInfo,
        operands: list[str | Kind],
        arguments: tuple[bytes, ...],
    ) -> list[str | Kind]:
        """Return what an opcode puts on the stack."""
        if opcode.name in _IMPORTS:
            self.calls |= opcode.name == "INST"
            return [self._import(*(map(_text, arguments) if arguments else operands))]
        if opcode.name in _CALLS:
            if operands[0] is not LIVE and opcode.name != "OBJ":
                raise ValueError
            self.calls |= operands[0] is LIVE
            return [LIVE]
        if opcode.name in _GETS:
            return [self._memo[_index(arguments[0], opcode)]]
        if opcode.name in _KEEPS:
            if opcode.name == "MEMOIZE":
                self._memo[len(self._memo)] = operands[0]
            return operands[:1] * len(opcode.stack_after)
        if opcode.name == "PROTO" and arguments[0][0] > pickle.HIGHEST_PROTOCOL:
            raise ValueError
        return [_value(opcode, arguments) for _ in opcode.stack_after]

    def _import(self, module: str | Kind, name: str | Kind) -> Kind:
        if PLAIN in (module, name):
            raise ValueError
        is_known = isinstance(module, str) and isinstance(name, str)
        self.imports[f"{module}.{name}" if is_known else ASSEMBLED] = None
        return LIVE


def _value(opcode: pickletools.OpcodeInfo, arguments: tuple[bytes, ...]) -> str | Kind:
    """Return what an opcode makes of its argument. Raises ValueError where CPython rejects it."""
    if opcode.name in _LIVE:
        return LIVE
    if opcode.name == "STRING":
        quoted = _STRING.fullmatch(arguments[0])
        if quoted is None:
            raise ValueError
        return _text(quoted["text"])
    if opcode.stack_after[0] in _TEXTS:
        return _text(arguments[0])
    if opcode.name in ("INT", "LONG", "FLOAT"):
        number = arguments[0].partition(b"\0")[0]  # C reads no further
        if opcode.name == "FLOAT":
            float(number)
        elif not (opcode.name == "INT" and _OCTAL.fullmatch(number)):
            int(number.removesuffix(b"L"), 0)
    return PLAIN


def _index(argument: bytes, opcode: pickletools.OpcodeInfo) -> int:
    is_text = opcode.name in ("PUT", "GET")
    return int(argument.partition(b"\0")[0]) if is_text else int.from_bytes(argument, "little")


def _text(data: bytes) -> str:
    return data.decode("utf-8", "replace")
