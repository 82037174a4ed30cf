"""Pickles as the programs they are.

Which opcodes a reader would come by, what they would import, whether they would call it. Nothing is
imported or called.

The machine keeps the stack, the marks and the memo that Python's own has, with kinds instead of
values, so it stops where Python's would: words in a text may look like opcodes, but they take from
an empty stack what a pickle has put there. Specification: `pickletools` in Python's library.
"""

from __future__ import annotations

from enum import Enum
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable

OPCODES = 200_000
"""How many opcodes are followed. Plain text never comes near it."""

LINE = 64 << 10
"""The longest line that an opcode may read, and how much is read at once.

Names of modules and numbers are shorter; longer texts stand in binary opcodes.
"""

ASSEMBLED = "a name that is put together when it runs"

_IMPORTS = 50
_KEPT = 512
_HIGHEST = 5
_FIXED = {
    ord(code): size
    for size, codes in ((1, "Kqh\x80\x82"), (2, "M\x83"), (4, "Jrj\x84"), (8, "G\x95"))
    for code in codes
}
_COUNTED = {
    ord(code): size
    for size, codes in ((1, "UC\x8c\x8a"), (4, "TXB\x8b"), (8, "\x8d\x8e\x96"))
    for code in codes
}
_LINES = {ord(code): count for count, codes in ((1, "ILFSVPpg"), (2, "ci")) for code in codes}
_BARE = frozenset(
    b"(.012NQRabd}eloit)]su\x85\x86\x87\x81\x88\x89\x8f\x90\x91\x92\x93\x94\x97\x98"
) - frozenset(b"i")


class Kind(Enum):
    """What a value on the machine's stack is, where it is no text.

    Plain, or something that was imported or made by what was.
    """

    PLAIN = 0
    LIVE = 1


PLAIN, LIVE = Kind.PLAIN, Kind.LIVE


class Scan(NamedTuple):
    """What opcodes say.

    How many were run, whether a pickle came to its end and where, what is imported, whether
    anything imported is called.

    `overrun` says that they go on after as many as are followed, or after what can be read.
    """

    opcodes: int
    end: int
    imports: tuple[str, ...]
    calls: bool
    overrun: bool = False


def scan(read: Callable[[int, int], bytes], size: int) -> Scan:
    """Return what the opcodes at the start say, up to the first at which Python would stop.

    Several pickles may follow each other.

    `read` returns so many bytes (fewer at the end) from a place, `size` is where the end is,
    whether or not `read` goes so far.
    """
    tape, imports, count, end, calls = _Tape(read, size), dict[str, None](), 0, 0, False
    machine = _Machine(imports)
    try:
        while tape.at < size:
            if count >= OPCODES:
                return Scan(count, end, tuple(imports)[:_IMPORTS], calls, overrun=True)
            code = tape.byte()
            machine.step(code, *_argument(tape, code))
            calls = calls or machine.calls
            count += 1
            if code == ord("."):
                end, machine = tape.at, _Machine(imports)
    except (ValueError, IndexError, KeyError):
        # What Python's machine stumbles over: the pickle has ended for us, and what came before
        # would have run.
        pass
    return Scan(count, end, tuple(imports)[:_IMPORTS], calls, overrun=tape.is_short)


def _argument(tape: _Tape, code: int) -> tuple[bytes, bytes]:
    """Return what follows an opcode: up to two lines, or bytes.

    Raises ValueError for no opcode, or where there is less than it asks for.
    """
    if code in _BARE:
        return b"", b""
    if code in _LINES:
        return tape.line(), tape.line() if _LINES[code] > 1 else b""
    if code in _FIXED:
        return tape.take(_FIXED[code]), b""
    if code in _COUNTED:
        return tape.take(int.from_bytes(tape.take(_COUNTED[code]), "little")), b""
    raise ValueError


class _Tape:
    """Bytes that are read once, in order, a chunk at a time.

    Of long ones only the start is kept.
    """

    def __init__(self, read: Callable[[int, int], bytes], size: int) -> None:
        self._read, self._size = read, size
        self._chunk, self._start = b"", 0
        self.at, self.is_short = 0, False

    def byte(self) -> int:
        place = self.at - self._start
        if not 0 <= place < len(self._chunk):
            self._load()
            place = 0
        self.at += 1
        return self._chunk[place]

    def take(self, count: int) -> bytes:
        if count > self._size - self.at:
            raise ValueError
        kept = min(count, _KEPT)
        if self.at - self._start + kept > len(self._chunk):
            self._load()
        place = self.at - self._start
        self.at += count
        return self._chunk[place : place + kept]

    def line(self) -> bytes:
        place = self.at - self._start
        end = self._chunk.find(b"\n", place)
        if end < 0:
            self._load()
            place, end = 0, self._chunk.find(b"\n")
        if end < 0:
            self.is_short = len(self._chunk) < min(LINE, self._size - self.at)
            raise ValueError
        self.at += end - place + 1
        return self._chunk[place:end]

    def _load(self) -> None:
        self._chunk, self._start = self._read(self.at, LINE), self.at
        self.is_short = not self._chunk and self.at < self._size


class _Machine:
    """Python's machine for pickles, with kinds in the place of values.

    Raises IndexError, KeyError or ValueError where Python's stops.
    """

    def __init__(self, imports: dict[str, None]) -> None:
        self.stack: list[str | Kind] = []
        self.below: list[list[str | Kind]] = []
        self.memo: dict[int, str | Kind] = {}
        self.imports = imports
        self.calls = False

    def step(self, code: int, argument: bytes, second: bytes) -> None:
        letter = chr(code)
        if letter in _PUSH:
            self.stack.append(_pushed(letter, argument))
        elif letter in _MEMO:
            self._remember(letter, argument)
        elif letter in _MARKED:
            self._to_mark(letter, argument, second)
        elif letter in _CALLS:
            self._call(letter)
        else:
            self._other(letter, argument, second)

    def _remember(self, letter: str, argument: bytes) -> None:
        if letter == "\x94":
            self.memo[len(self.memo)] = self.stack[-1]
            return
        key = int(argument) if letter in "pg" else int.from_bytes(argument, "little")
        if letter in "pqr":
            self.memo[key] = self.stack[-1]
        else:
            self.stack.append(self.memo[key])

    def _to_mark(self, letter: str, argument: bytes, second: bytes) -> None:
        """Run an opcode that takes everything down to the last mark."""
        items, self.stack = self.stack, self.below.pop()
        if letter in "tld\x91":
            self.stack.append(PLAIN)
        elif letter in "eu\x90":
            self._need_one()
        elif letter == "i":
            self._import(_text(argument), _text(second))
            self.calls = True
        elif letter == "o":
            self.calls = self.calls or items[0] is LIVE
            self.stack.append(LIVE)

    def _call(self, letter: str) -> None:
        """Run an opcode that calls what lies under its arguments.

        What was never imported cannot be called.
        """
        for _ in range(2 if letter == "\x92" else 1):
            self.stack.pop()
        if self.stack[-1] is not LIVE:
            raise ValueError
        self.calls = True

    def _take(self, letter: str) -> None:
        """Run an opcode that takes one to three values, and makes a tuple of them or puts them into what lies under them."""
        for _ in range(_TAKEN[letter]):
            self.stack.pop()
        if letter in "as":
            self._need_one()
        elif letter not in ".0":
            self.stack.append(PLAIN)

    def _need_one(self) -> None:
        if not self.stack:
            raise IndexError

    def _other(self, letter: str, argument: bytes, second: bytes) -> None:
        if letter == "(":
            self.below.append(self.stack)
            self.stack = []
        elif letter == "0" and not self.stack:
            self.stack = self.below.pop()
        elif letter in _TAKEN:
            self._take(letter)
        elif letter == "2":
            self.stack.append(self.stack[-1])
        elif letter == "Q":
            self.stack[-1] = LIVE
        elif letter == "c":
            self._import(_text(argument), _text(second))
        elif letter == "\x93":
            self._import_from_stack()
        elif letter == "\x80" and argument[0] > _HIGHEST:
            raise ValueError

    def _import_from_stack(self) -> None:
        name, module = self.stack.pop(), self.stack.pop()
        if PLAIN in (name, module):
            raise ValueError
        self._import(module, name)

    def _import(self, module: str | Kind, name: str | Kind) -> None:
        self.imports[
            f"{module}.{name}" if isinstance(module, str) and isinstance(name, str) else ASSEMBLED
        ] = None
        self.stack.append(LIVE)


_PUSH = frozenset("IJKMLNFGSTUVXBCP)]}\x82\x83\x84\x88\x89\x8a\x8b\x8c\x8d\x8e\x8f\x96\x97")
_MEMO = frozenset("pqrghj\x94")
_MARKED = frozenset("1tlde\x91u\x90io")
_CALLS = frozenset("Rb\x81\x92")
_TAKEN = {".": 1, "0": 1, "a": 1, "s": 2, "\x85": 1, "\x86": 2, "\x87": 3}


def _pushed(letter: str, argument: bytes) -> str | Kind:
    """Return what an opcode puts on the stack.

    Raises ValueError for a text or a number that Python does not read.
    """
    if letter in "TUVX\x8c\x8d":
        return _text(argument)
    if letter == "S":
        quoted = argument.strip()
        if len(quoted) < 2 or quoted[:1] != quoted[-1:] or quoted[:1] not in (b"'", b'"'):  # noqa: PLR2004 - two quotes
            raise ValueError
        return _text(quoted[1:-1])
    if letter in "IL":
        int(argument.removesuffix(b"L"), 0)
    elif letter == "F":
        float(argument)
    return LIVE if letter in "P\x82\x83\x84" else PLAIN


def _text(data: bytes) -> str:
    return data.decode("utf-8", "replace")
