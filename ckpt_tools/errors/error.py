"""What all errors of the tool have in common: what, where, what to do next, on one line."""

from __future__ import annotations

from typing import ClassVar, Self

_LONGEST = 200


class CkptError(Exception):
    """A job could not be done; the message is ready to be shown.

    `path` is the file, `subject` the part of it (a tensor, a key).
    """

    hint: ClassVar[str] = ""

    def __init__(self, what: str, *, subject: str = "", path: str = "", hint: str = "") -> None:
        super().__init__(what)
        self.what = what
        self.subject = subject
        self.path = path
        self.next = hint or self.hint

    def at(self, path: str) -> Self:
        """Return this error with the file it happened in.

        For code that knows bytes but no paths.
        """
        self.path = self.path or path
        return self

    def __str__(self) -> str:
        """Return `path: subject: what; next` on one line, control characters escaped."""
        place = ": ".join(part for part in (self.path, _cut(self.subject), _cut(self.what)) if part)
        line = f"{place}; {self.next}" if self.next else place
        return "".join(
            character if character.isprintable() else repr(character)[1:-1] for character in line
        )

    def __reduce__(self) -> tuple[object, ...]:
        """Pickle by fields, so that an error survives a process boundary."""
        return _rebuild, (type(self), self.what, self.subject, self.path, self.next)


def _cut(text: str) -> str:
    """Return `text`, its middle left out where it is too long for a line.

    Names come from files, and may have megabytes.
    """
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST // 2]}…{text[-_LONGEST // 2 :]}"


def _rebuild(kind: type[CkptError], what: str, subject: str, path: str, hint: str) -> CkptError:
    return kind(what, subject=subject, path=path, hint=hint)
