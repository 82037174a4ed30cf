"""The base class of all errors: where, what and the next step, on one line."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, ClassVar, Self

from ckpt_tools.errors.keywords import as_keywords

if TYPE_CHECKING:
    from collections.abc import Iterator

_LONGEST = 200


class CkptError(Exception):
    """An error whose message can be shown to the user.

    `what` is the fault, `path` the file, `subject` its part (a tensor, a key), `next` the next
    step: `hint`, by default that of the class. Both are written with options of commands, such as
    --output, which become keywords, output=, unless a command runs (`naming_options`).
    """

    hint: ClassVar[str] = ""
    names_options: ClassVar[bool] = False

    def __init__(self, what: str, *, subject: str = "", path: str = "", hint: str = "") -> None:
        super().__init__(what)
        self.what = self._spelled(what)
        self.subject = subject
        self.path = path
        self.next = self._spelled(hint or self.hint)

    def _spelled(self, text: str) -> str:
        return text if self.names_options else as_keywords(text)

    def at(self, path: str) -> Self:
        """Set the path unless it is set, and return this error."""
        self.path = self.path or path
        return self

    def __str__(self) -> str:
        """Return `path: subject: what; next` on one line, control characters escaped."""
        line = ": ".join(part for part in (self.path, _cut(self.subject), _cut(self.what)) if part)
        line += f"; {self.next}" * bool(self.next)
        return "".join(
            character if character.isprintable() else repr(character)[1:-1] for character in line
        )

    def __reduce__(self) -> tuple[object, ...]:
        """Pickle by fields, so that an error survives a process boundary."""
        return _rebuild, (type(self), self.what, self.subject, self.path, self.next)


@contextmanager
def naming_options() -> Iterator[None]:
    """Let errors name options, as a command has them, instead of keywords."""
    before, CkptError.names_options = CkptError.names_options, True
    try:
        yield
    finally:
        CkptError.names_options = before


@contextmanager
def located(path: str) -> Iterator[None]:
    """Add the path to the errors of the block that have none."""
    try:
        yield
    except CkptError as error:
        raise error.at(path) from None


def _cut(text: str) -> str:
    """Return `text`, its middle elided if it is long: names in files can have megabytes."""
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST // 2]}…{text[-_LONGEST // 2 :]}"


def _rebuild(kind: type[CkptError], what: str, subject: str, path: str, hint: str) -> CkptError:
    return kind(what, subject=subject, path=path, hint=hint)
