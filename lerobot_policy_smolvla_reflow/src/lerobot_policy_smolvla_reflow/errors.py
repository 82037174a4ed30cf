"""The errors a person can put right, and how they end a command.

Programming mistakes stay ordinary exceptions.
"""

from __future__ import annotations

import sys
from types import TracebackType

from draccus.utils import DecodingError


class ReflowError(DecodingError):
    """Something the caller can put right: one sentence that names the config field and the way out.

    It is a `DecodingError` because LeRobot's argument parser prints exactly that family as one line
    and exits with 1; any other exception raised while a config is built becomes "Couldn't
    instantiate class" with the sentence buried below.
    """

    def __init__(self, field: str, sentence: str) -> None:
        self.field = field
        super().__init__(("policy", field), sentence)

    def __reduce__(self) -> tuple[type[ReflowError], tuple[str, str]]:
        """Rebuild from the two arguments, so that the error survives a process boundary."""
        return type(self), (self.field, self.message)


class UncleanCheckpointError(RuntimeError):
    """What would have been saved is not a normal SmolVLA checkpoint; nothing was put in place."""


def end_without_traceback() -> None:
    """From here on an uncaught error of this module ends the process with its sentence alone.

    Every other one as before.
    """
    otherwise = sys.excepthook

    def report(
        kind: type[BaseException], error: BaseException, trace: TracebackType | None
    ) -> None:
        if isinstance(error, ReflowError | UncleanCheckpointError):
            sys.stderr.write(f"error: {error}\n")
        else:
            otherwise(kind, error, trace)

    sys.excepthook = report
