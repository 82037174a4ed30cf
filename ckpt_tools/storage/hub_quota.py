"""Waits for the Hub's quota, which is for five minutes and shared with other programs."""

from __future__ import annotations

import threading
import time
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

QUOTA_ATTEMPTS = 20
LONGEST_QUOTA_WAIT = 3600.0
"""Seconds. Refusals for too many requests are waited out so often and so long."""


class QuotaWait:
    """A wait until the Hub accepts requests again, shared by threads and clients.

    `notify` is called with the seconds of each wait, once for all of them.
    """

    def __init__(self, notify: Callable[[float], None]) -> None:
        self._notify = notify
        self._lock = threading.Lock()
        self._until = 0.0

    def refused(self, seconds: float) -> None:
        """Let nobody send anything for so long."""
        with self._lock:
            until = time.monotonic() + seconds
            is_new = until > self._until + 1
            self._until = max(until, self._until)
        if is_new:
            self._notify(seconds)

    def pass_(self, pause: Callable[[float], None]) -> None:
        """Wait, with `pause`, as long as is said."""
        until = self._until
        seconds = until - time.monotonic()
        if seconds > 0:
            pause(seconds)
        with self._lock:
            if self._until == until:
                self._until = 0.0


_QUOTA: ContextVar[QuotaWait | None] = ContextVar("_QUOTA", default=None)


@contextmanager
def waiting_out(quota: QuotaWait) -> Iterator[None]:
    """Let clients that are made in the block wait until the Hub accepts requests again.

    Elsewhere they give up soon.
    """
    token = _QUOTA.set(quota)
    try:
        yield
    finally:
        _QUOTA.reset(token)


def current_quota() -> QuotaWait | None:
    """Return the wait that clients share, None if they give up soon."""
    return _QUOTA.get()
