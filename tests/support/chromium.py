"""A headless Chromium, driven over the pipes of its DevTools protocol.

Messages are JSON, each ended by a NUL.

Where none is installed, tests that need one are skipped; `make browser` runs them, and there a
missing browser is a failure.
"""

from __future__ import annotations

import base64
import fcntl
import json
import os
import select
import shutil
import signal
import tempfile
from typing import TYPE_CHECKING, Any, Self

import pytest

if TYPE_CHECKING:
    from pathlib import Path

type Message = dict[str, Any]

BINARY = next(
    (
        found
        for name in ("chromium", "chromium-browser", "google-chrome", "chrome")
        if (found := shutil.which(name))
    ),
    None,
)
REQUIRED = os.environ.get("CKPT_BROWSER") == "required"
needs_chromium = pytest.mark.skipif(
    BINARY is None and not REQUIRED,
    reason=(
        "no chromium on PATH: what a browser shows was not looked at; install one (apt-get"
        " install chromium), make browser"
    ),
)

# Only pages that the tests made are opened, and a container's root may have no sandbox.
_OPTIONS = (
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--no-first-run",
    "--remote-debugging-pipe",
    "--hide-scrollbars",
)
_PATIENCE = 120
"""Seconds without a word from the browser after which it is given up."""


def _pipe() -> tuple[int, int]:
    """Return a pipe whose descriptors are none of those that the protocol is spoken on."""
    ends = os.pipe()
    high = [fcntl.fcntl(end, fcntl.F_DUPFD_CLOEXEC, 10) for end in ends]
    for end in ends:
        os.close(end)
    return high[0], high[1]


def _spawned(*command: str, reads: int, writes: int) -> int:
    """Return the process of a command in a group of its own.

    The command reads and writes the protocol on descriptors 3 and 4.
    """
    silent = [(os.POSIX_SPAWN_OPEN, number, os.devnull, os.O_RDWR, 0) for number in (0, 1, 2)]
    spoken = [(os.POSIX_SPAWN_DUP2, reads, 3), (os.POSIX_SPAWN_DUP2, writes, 4)]
    return os.posix_spawn(
        command[0], command, os.environ, file_actions=[*silent, *spoken], setpgroup=0
    )


class Chromium:
    """A browser with one page. `said` is what its console, its log and its network were told of."""

    def __init__(self) -> None:
        assert BINARY, "no chromium on PATH: apt-get install chromium"
        self._profile = tempfile.TemporaryDirectory(
            prefix="ckpt-chromium-", ignore_cleanup_errors=True
        )
        self._rest, self._number, self._session, self.said = b"", 0, "", list[Message]()
        reads, self._out = _pipe()
        self._in, writes = _pipe()
        self._pid = _spawned(
            BINARY,
            *_OPTIONS,
            f"--user-data-dir={self._profile.name}",
            "about:blank",
            reads=reads,
            writes=writes,
        )
        os.close(reads)
        os.close(writes)

    def __enter__(self) -> Self:
        """Return itself, with a page to look at."""
        try:
            self._attach()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        """End the browser with all its processes, and remove its profile."""
        os.killpg(self._pid, signal.SIGKILL)
        os.waitpid(self._pid, 0)
        os.close(self._out)
        os.close(self._in)
        self._profile.cleanup()

    def _attach(self) -> None:
        """Find the page, and have it tell what happens to it."""
        targets = self.ask("Target.getTargets", session="")["targetInfos"]
        page = next(target["targetId"] for target in targets if target["type"] == "page")
        self._session = self.ask("Target.attachToTarget", session="", targetId=page, flatten=True)[
            "sessionId"
        ]
        self.ask("Emulation.setFocusEmulationEnabled", enabled=True)
        for domain in ("Page", "Runtime", "Log", "Network", "Audits"):
            self.ask(f"{domain}.enable")

    def ask(self, method: str, *, session: str | None = None, **parameters: object) -> Message:
        """Return the browser's answer."""
        self._number += 1
        message: Message = {"id": self._number, "method": method, "params": parameters}
        chosen = self._session if session is None else session
        data = json.dumps(message | ({"sessionId": chosen} if chosen else {})).encode() + b"\0"
        while data:
            data = data[os.write(self._out, data) :]
        while (answer := self._hear()).get("id") != self._number:
            self.said.append(answer)
        assert "error" not in answer, answer
        found: Message = answer["result"]
        return found

    def open(
        self,
        path: Path,
        *,
        width: int = 1280,
        height: int = 900,
        scheme: str = "light",
        media: str = "screen",
    ) -> None:
        """Show a file, in a window of that size and a theme, and wait until it is there."""
        self.said.clear()
        self.ask(
            "Emulation.setDeviceMetricsOverride",
            width=width,
            height=height,
            deviceScaleFactor=1,
            mobile=False,
        )
        # Without motion what is scrolled to is there at once.
        features = [
            {"name": "prefers-color-scheme", "value": scheme},
            {"name": "prefers-reduced-motion", "value": "reduce"},
        ]
        self.ask("Emulation.setEmulatedMedia", media=media, features=features)
        self.ask("Page.navigate", url=path.as_uri())
        while not any(message.get("method") == "Page.loadEventFired" for message in self.said):
            self.said.append(self._hear())

    def value(self, expression: str) -> Any:
        """Return the value of a JavaScript expression: the tests may run what the page may not."""
        return self.ask("Runtime.evaluate", expression=expression, returnByValue=True)[
            "result"
        ].get("value")

    def press(self, key: str, *, code: int, text: str = "") -> None:
        """Press a key and let it go."""
        event: Message = {"key": key, "code": key, "windowsVirtualKeyCode": code}
        self.ask("Input.dispatchKeyEvent", type="keyDown", text=text, **event)
        self.ask("Input.dispatchKeyEvent", type="keyUp", **event)

    def screenshot(self, path: Path, *, whole: bool = True) -> None:
        """Write what the page looks like, all of it or as much as the window shows."""
        found = self.ask("Page.captureScreenshot", format="png", captureBeyondViewport=whole)
        path.write_bytes(base64.b64decode(found["data"]))

    def complaints(self) -> list[str]:
        """Return what the browser reported since the page was opened.

        Console, log, exceptions, refused or bad content.
        """
        self.ask("Runtime.evaluate", expression="0")
        kinds = (
            "Runtime.consoleAPICalled",
            "Runtime.exceptionThrown",
            "Log.entryAdded",
            "Audits.issueAdded",
        )
        return [
            json.dumps(message["params"]) for message in self.said if message.get("method") in kinds
        ]

    def requests(self) -> list[str]:
        """Return the addresses that were asked for since the page was opened."""
        return [
            message["params"]["request"]["url"]
            for message in self.said
            if message.get("method") == "Network.requestWillBeSent"
        ]

    def _hear(self) -> Message:
        """Return the next message; an answer, or an event."""
        while b"\0" not in self._rest:
            ready, _, _ = select.select([self._in], [], [], _PATIENCE)
            read = os.read(self._in, 1 << 16) if ready else b""
            assert read, "the browser has ended, or says nothing"
            self._rest += read
        message, self._rest = self._rest.split(b"\0", 1)
        found: Message = json.loads(message)
        return found
