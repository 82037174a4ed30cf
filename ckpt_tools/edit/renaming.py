"""New names for tensors: by glob with its wildcards carried over, or by regular expression."""

from __future__ import annotations

import re
import signal
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING

from ckpt_tools.checkpoint.names import TOKENS, WILDCARDS, glob_to_regex, plain
from ckpt_tools.errors import PatternTooSlow, RecipeInvalid
from ckpt_tools.text import count

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from ckpt_tools.edit.operations import RenameTensors

type Renamer = Callable[[str], str | None]

SECONDS = 5
"""Time limit for matching a regular expression with all names of a checkpoint.

A reasonable one takes milliseconds.
"""


def renamer(rename: RenameTensors) -> Renamer:
    """Return the function from a name to its new name, None for a name that does not match.

    Raises RecipeInvalid.
    """
    by = _by_regex if rename.regex else _by_glob
    return by(rename.match, rename.to)


def _by_regex(match: str, to: str) -> Renamer:
    try:
        pattern = re.compile(match)
        pattern.sub(to, "")  # raises for a group that does not exist
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
    pattern = glob_to_regex(match)
    tokens = TOKENS.findall(to)
    wildcards = sum(token in WILDCARDS for token in tokens)
    if wildcards > pattern.groups:
        raise RecipeInvalid(
            f"{to!r} has {count(wildcards, 'wildcard')}, but {match!r} has only {pattern.groups}",
            hint="wildcards are carried over in order",
        )

    def rename(name: str) -> str | None:
        found = pattern.fullmatch(name)
        if found is None:
            return None
        captured = (group or "" for group in found.groups())
        return "".join(
            _filled(token, next(captured)) if token in WILDCARDS else plain(token)
            for token in tokens
        )

    return rename


def _filled(wildcard: str, captured: str) -> str:
    """Return the replacement of a wildcard.

    The dot of `**.` and `.**` stays only if the wildcard matched a segment.
    """
    return wildcard.replace("**", captured, 1) if captured and "**" in wildcard else captured


@contextmanager
def time_limit(subject: str) -> Iterator[None]:
    """Raise PatternTooSlow if the block takes longer than SECONDS.

    Works in the main thread, where Python handles signals; elsewhere there is no limit.
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
