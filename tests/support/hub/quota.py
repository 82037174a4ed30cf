"""How many requests of a kind the stand-in answers in a window of time, as the Hub counts them."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass, field

from tests.support.hub.messages import Answer, Refused, Request


@dataclass
class Quota:
    """Limits by kind (`api`, `resolvers`) in fixed windows, and the requests that were refused.

    The clock can be moved, so that no test has to wait.
    """

    limits: dict[str, int] = field(default_factory=dict)
    window: int = 300
    refused: list[str] = field(default_factory=list)
    moved: float = 0.0
    used: dict[tuple[str, int], int] = field(default_factory=dict)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def move(self, seconds: float) -> None:
        """Let time pass. Used in place of a sleep."""
        with self.lock:
            self.moved += seconds

    def instead(self, request: Request) -> Answer | None:
        """The refusal of a request over its limit, with the seconds until the next window."""
        kind = kind_of(request.path)
        if kind not in self.limits:
            return None
        with self.lock:
            now = time.monotonic() + self.moved
            number = int(now // self.window)
            used = self.used[kind, number] = self.used.get((kind, number), 0) + 1
            if used <= self.limits[kind]:
                return None
            self.refused.append(request.target)
            left = int((number + 1) * self.window - now)
        policy = f'"fixed window";"{kind}";q={self.limits[kind]};w={self.window}'
        headers = {"RateLimit": f'"{kind}";r=0;t={left}', "RateLimit-Policy": policy}
        return Refused(429, "We had to rate limit you", headers=headers).answer


def kind_of(path: str) -> str:
    """What a request counts as; contents come from elsewhere and count as nothing."""
    if "/resolve/" in path or path.startswith("/api/resolve-cache/"):
        return "resolvers"
    return "api" if path.startswith("/api/") else ""
