"""New names for tensors: by glob with its wildcards carried over, or by regular expression."""

from __future__ import annotations

import re
import signal
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING

from ckpt_tools.checkpoint.names import TOKENS, plain
from ckpt_tools.errors import PatternTooSlow, RecipeInvalid

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from ckpt_tools.edit.operations import Rename

type Renamer = Callable[[str], str | None]

SECONDS = 5
"""What a regular expression may take for all names of a checkpoint.

A sane one takes milliseconds.
"""

_CAPTURES = {
    "**.": r"(?:(.*)\.)?",
    ".**": r"(?:\.(.*))?",
    "**": "(.*)",
    "*": r"([^.]*)",
    "?": r"([^.])",
}


def renamer(rename: Rename) -> Renamer:
    """Return the function from a name to its new name, None for a name that does not match.

    Raises RecipeInvalid.
    """
    return _by_regex(rename.match, rename.to) if rename.regex else _by_glob(rename.match, rename.to)


def _by_regex(match: str, to: str) -> Renamer:
    try:
        pattern = re.compile(match)
        pattern.sub(to, "")  # refuses a group that is not there
    except (re.error, IndexError) as error:
        raise RecipeInvalid(
            str(error),
            subject=f"{match!r} to {to!r}",
            hint="see the syntax of Python's re; in `to`, \\1 is the first group",
        ) from None

    def rename(name: str) -> str | None:
        found = pattern.fullmatch(name)
        return found.expand(to) if found else None

    return rename


def _by_glob(match: str, to: str) -> Renamer:
    pattern = re.compile(
        "".join(_CAPTURES.get(token) or re.escape(plain(token)) for token in TOKENS.findall(match)),
        re.DOTALL,
    )
    tokens = TOKENS.findall(to)
    wanted = sum(token in _CAPTURES for token in tokens)
    if wanted > pattern.groups:
        raise RecipeInvalid(
            f"{to!r} has {wanted} wildcards, and {match!r} only {pattern.groups} to fill them from",
            hint="wildcards are carried over in order",
        )

    def rename(name: str) -> str | None:
        found = pattern.fullmatch(name)
        return _fill(tokens, [group or "" for group in found.groups()]) if found else None

    return rename


def _fill(tokens: list[str], captured: list[str]) -> str:
    parts = iter(captured)
    return "".join(
        _part(token, next(parts)) if token in _CAPTURES else plain(token) for token in tokens
    )


def _part(wildcard: str, captured: str) -> str:
    """Return what stands for a wildcard.

    One for any number of segments takes its dot along, and leaves it out with the segments.
    """
    if not captured:
        return ""
    return (
        f"{captured}." if wildcard == "**." else f".{captured}" if wildcard == ".**" else captured
    )


@contextmanager
def time_limit(subject: str) -> Iterator[None]:
    """Within it PatternTooSlow ends what takes longer than SECONDS.

    Works in the main thread, where Python handles signals; elsewhere nothing is limited.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def stop(_signal: int, _frame: object) -> None:
        raise PatternTooSlow(f"took more than {SECONDS} seconds", subject=subject)

    before = signal.signal(signal.SIGALRM, stop)
    signal.setitimer(signal.ITIMER_REAL, SECONDS)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
