"""Errors that the user can correct, and how they end a command.

Programming errors stay ordinary exceptions.
"""

from __future__ import annotations

import sys
from types import TracebackType

from draccus.utils import DecodingError


class ReflowError(DecodingError):
    """A setting or file that the user can correct: one line with the config field and the fix.

    It is a `DecodingError` because LeRobot's argument parser prints exactly that family on one line
    and exits with 1; any other exception raised while a config is built becomes "Couldn't
    instantiate class" with the message buried below.
    """

    def __init__(self, field: str, message: str) -> None:
        super().__init__(("policy", field), message)

    def __reduce__(self) -> tuple[type[ReflowError], tuple[str, str]]:
        """Rebuild from the two arguments, so that the error survives a process boundary."""
        return type(self), (self.key_path[-1], self.message)


class NotFiniteError(ReflowError):
    """A checkpoint whose weights hold NaN or infinity."""


class UncleanCheckpointError(RuntimeError):
    """The checkpoint to save is not a normal SmolVLA checkpoint. Nothing was written."""


def end_without_traceback() -> None:
    """Make an uncaught error of this module end the process with its message and no traceback."""
    default_hook = sys.excepthook

    def report(
        kind: type[BaseException], error: BaseException, trace: TracebackType | None
    ) -> None:
        if isinstance(error, ReflowError | UncleanCheckpointError):
            sys.stderr.write(f"error: {error}\n")
        else:
            default_hook(kind, error, trace)

    sys.excepthook = report
