"""What `--verbose` adds on standard error: files as they are opened, programs, requests, the time.

It listens to Python's audit events, so that the work itself need not know. Headers and tensors that
the compiled kernel reads come from files that Python opened.
"""

from __future__ import annotations

import logging
import os
import sys
import time
from collections import Counter
from contextlib import suppress

from ckpt_tools.cli.output import write_error
from ckpt_tools.text import count, printable

_PYTHON = os.path.dirname(os.path.dirname(os.__file__))
_TOOL = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
_LIBRARIES = (os.path.abspath(entry) for entry in sys.path if entry.endswith("-packages"))
_NOT_DATA = (
    *(f"{folder}{os.sep}" for folder in (_PYTHON, _TOOL, *_LIBRARIES)),
    *("/dev/", "/etc/", "/proc/", "/sys/", "/usr/share/"),
)
"""Where Python, its libraries, this tool and the system are: what is opened there is no news."""

_CLIENTS = ("httpx", "httpx2")
"""The loggers that report a request and its answer."""


class Trace:
    """Prints what happens until `end`; each file once for reading and once for writing."""

    def __init__(self) -> None:
        self._began = time.perf_counter()
        self._seen: set[tuple[str, str]] = set()
        self._requests = _Requests(self)
        for name in _CLIENTS:
            logging.getLogger(name).addHandler(self._requests)
            logging.getLogger(name).setLevel(logging.INFO)
        self._active = True
        sys.addaudithook(self._hear)  # for good: Python takes none back

    def end(self) -> None:
        """Print how much it was, and be silent."""
        self._active = False
        kinds = Counter(kind for kind, _ in self._seen)
        self.say(
            f"{count(kinds['read'], 'file')} read, {kinds['write']} written,"
            f" {count(self._requests.number, 'request')}"
        )
        for name in _CLIENTS:
            logging.getLogger(name).removeHandler(self._requests)

    def say(self, what: str) -> None:
        """Print one line with the seconds since the start."""
        write_error(f"ckpt: [{time.perf_counter() - self._began:8.3f} s] {what}\n")

    def _hear(self, event: str, arguments: tuple[object, ...]) -> None:
        if not self._active:
            return
        if event == "subprocess.Popen":
            program, command = arguments[:2]
            words = command if isinstance(command, list | tuple) else (program,)
            self._once("run", " ".join(map(str, words)))
        elif event == "open":
            path, _, flags = arguments
            if isinstance(path, str | bytes) and isinstance(flags, int):
                self._hear_file(os.fsdecode(path), flags)

    def _hear_file(self, path: str, flags: int) -> None:
        # What is raised here would be raised by who opens the file.
        with suppress(OSError):
            if not flags & os.O_DIRECTORY and not os.path.abspath(path).startswith(_NOT_DATA):
                self._once("write" if flags & (os.O_WRONLY | os.O_RDWR) else "read", path)

    def _once(self, kind: str, what: str) -> None:
        key = kind, what if kind == "run" else os.path.abspath(what)
        if key not in self._seen:
            self._seen.add(key)
            self.say(f"{kind} {printable(what)}")


class _Requests(logging.Handler):
    """Prints requests without the query of their addresses, which may be a signature."""

    def __init__(self, trace: Trace) -> None:
        super().__init__()
        self._trace, self.number = trace, 0

    def emit(self, record: logging.LogRecord) -> None:
        """Print a request: its method and address, and the status of the answer."""
        if isinstance(record.args, tuple) and "Request" in record.msg:
            method, address, _, status, *_ = record.args
            self.number += 1
            self._trace.say(f"{method} {str(address).partition('?')[0]} {status}")
