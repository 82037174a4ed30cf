"""The one error a person can cause, and nothing else. Programming mistakes stay ordinary exceptions."""

from __future__ import annotations

from draccus.utils import DecodingError


class ReflowError(DecodingError):
    """Something the caller can put right: one sentence that names the config field and the way out.

    It is a `DecodingError` because LeRobot's argument parser prints exactly that family as one line and exits with 1;
    any other exception raised while a config is built becomes "Couldn't instantiate class" with the sentence buried below.
    """

    def __init__(self, field: str, sentence: str) -> None:
        self.field = field
        super().__init__(("policy", field), sentence)

    def __reduce__(self) -> tuple[type[ReflowError], tuple[str, str]]:
        """Rebuild from the two arguments, so that the error survives a process boundary."""
        return type(self), (self.field, self.message)
