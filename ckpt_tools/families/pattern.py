"""Regular expressions of other people's configs, matched in bounded time.

Python's own engine can take years for a text of thirty characters, so an expression that a download
brings is never given to it. Here every part maps the set of places where a match may stand to the
set of places where it may stand afterwards; that takes at most the square of the text's length for
each part. What is not known here (look-around, back references, flags) is Unsupported.
"""

from __future__ import annotations

import re
from functools import cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

type Places = frozenset[int]
type Step = Callable[[str, Places], Places]

_LONGEST = 20_000
_MOST = 64
_CLASSES = {
    "d": str.isdecimal,
    "w": lambda letter: letter.isalnum() or letter == "_",
    "s": str.isspace,
}
_COUNT = re.compile(r"\{(\d{1,3})(,?)(\d{0,3})\}")
_GROUP = re.compile(r"\((?:\?:|\?P<\w+>|(?!\?))")


class Unsupported(ValueError):
    """An expression with what is not known here. The message says what."""


@cache
def pattern(text: str) -> Callable[[str], bool]:
    """Return whether a text matches the expression as a whole. Raises Unsupported."""
    if len(text) > _LONGEST:
        raise Unsupported("it is too long")
    reader = _Reader(text)
    step = reader.choices()
    if reader.rest:
        raise Unsupported(f"`{reader.rest[:20]}` is not expected")
    return lambda name: len(name) in step(name, frozenset({0}))


class _Reader:
    """Reads an expression from left to right; `rest` is what is left of it."""

    def __init__(self, text: str) -> None:
        self.rest = text

    def choices(self) -> Step:
        """Read what `|` separates."""
        steps = [self._sequence()]
        while self._take("|"):
            steps.append(self._sequence())
        if len(steps) == 1:
            return steps[0]
        return lambda text, places: frozenset().union(*(step(text, places) for step in steps))

    def _sequence(self) -> Step:
        steps: list[Step] = []
        while self.rest and self.rest[0] not in "|)":
            steps.append(self._repeated(self._one()))

        def follow(text: str, places: Places) -> Places:
            for step in steps:
                places = step(text, places) if places else places
            return places

        return follow

    def _repeated(self, step: Step) -> Step:
        if self._take("*"):
            low, high = 0, None
        elif self._take("+"):
            low, high = 1, None
        elif self._take("?"):
            low, high = 0, 1
        elif match := _COUNT.match(self.rest):
            self.rest = self.rest[match.end() :]
            low = int(match[1])
            high = int(match[3]) if match[3] else (None if match[2] else low)
        else:
            return step
        if max(low, high or 0) > _MOST:
            raise Unsupported("it repeats too often")
        if not self._take("?") and self.rest[:1] == "+":
            raise Unsupported("`+` after a repetition is not known")
        return _times(step, low, high)

    def _one(self) -> Step:
        if match := _GROUP.match(self.rest):
            self.rest = self.rest[match.end() :]
            step = self.choices()
            if not self._take(")"):
                raise Unsupported("a bracket is not closed")
            return step
        letter, self.rest = self.rest[0], self.rest[1:]
        if letter == "^":
            return lambda _, places: places & {0}
        if letter == "$":
            return lambda text, places: places & {len(text)}
        return _letter(self._test(letter))

    def _test(self, letter: str) -> Callable[[str], bool]:
        """Return which letters a letter of the expression stands for."""
        if letter in "()*+?{}":
            raise Unsupported(f"`{letter}{self.rest[:10]}` is not known")
        if letter == ".":
            return lambda one: one != "\n"
        if letter == "[":
            return self._set()
        return self._escaped() if letter == "\\" else letter.__eq__

    def _escaped(self) -> Callable[[str], bool]:
        letter, self.rest = self.rest[:1], self.rest[1:]
        if letter in _CLASSES:
            return _CLASSES[letter]
        if letter.lower() in _CLASSES:
            known = _CLASSES[letter.lower()]
            return lambda one: not known(one)
        if not letter or letter.isalnum():
            raise Unsupported(f"`\\{letter}` is not known")
        return letter.__eq__

    def _set(self) -> Callable[[str], bool]:
        """Read what is in square brackets."""
        inverts = self._take("^")
        tests: list[Callable[[str], bool]] = []
        while self.rest and (self.rest[0] != "]" or not tests):
            letter, self.rest = self.rest[0], self.rest[1:]
            if letter == "\\":
                tests.append(self._escaped())
            elif len(self.rest) > 1 and self.rest[0] == "-" and self.rest[1] != "]":
                tests.append(_between(letter, self.rest[1]))
                self.rest = self.rest[2:]
            else:
                tests.append(letter.__eq__)
        if not self._take("]"):
            raise Unsupported("a square bracket is not closed")
        return lambda one: any(test(one) for test in tests) != inverts

    def _take(self, letter: str) -> bool:
        if not self.rest.startswith(letter):
            return False
        self.rest = self.rest[1:]
        return True


def _between(low: str, high: str) -> Callable[[str], bool]:
    return lambda one: low <= one <= high


def _letter(test: Callable[[str], bool]) -> Step:
    return lambda text, places: frozenset(
        place + 1 for place in places if place < len(text) and test(text[place])
    )


def _times(step: Step, low: int, high: int | None) -> Step:
    """Return a step repeated `low` to `high` times, None for any number of times."""

    def repeated(text: str, places: Places) -> Places:
        for _ in range(low):
            places = step(text, places)
        found, newest, left = places, places, high
        while newest and (left is None or left > low):
            newest = step(text, newest) - found
            found |= newest
            left = None if left is None else left - 1
        return found

    return repeated
