"""Settings, suppressions and the verdict of the gate. Nothing here decides."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from ckpt_tools.text import count

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ckpt_tools.rules.coverage import Question
    from ckpt_tools.rules.finding import Finding, Severity, Verification


OPTION = "--suppress"
"""The `key` of a suppression that is given on the command line."""


class Suppression(NamedTuple):
    """Accepts the findings of a rule on matching files and subjects, for a reason.

    `path` and `subject` are globs. `expires` is the last day, as 2027-01-31, "" for none. `key` is
    where the settings have it: `suppress[0]`, or OPTION.
    """

    code: str
    reason: str
    path: str = "*"
    subject: str = "*"
    expires: str = ""
    key: str = ""


class Settings(NamedTuple):
    """The content of `ckpt.toml`.

    `today` is the day on which it was read, which decides what has expired; `source` is the file,
    "" for none. `require` are the questions that must be checked.
    """

    profile: str = ""
    suppress: tuple[Suppression, ...] = ()
    severity: Mapping[str, Severity] = {}
    allow: tuple[str, ...] = ()
    today: str = ""
    source: str = ""
    require: tuple[Question, ...] = ()


class Verdict(NamedTuple):
    """Whether a checkpoint may be uploaded under a profile.

    `refused` are the findings that fail it. It does not pass if no rules were checked.
    """

    profile: str
    verification: Verification
    refused: tuple[Finding, ...]
    passes: bool

    def __repr__(self) -> str:
        """Summarize in one line."""
        outcome = "passes" if self.passes else f"failed, {count(len(self.refused), 'finding')}"
        return f"<Verdict {self.verification.where!r}: {outcome} (profile {self.profile})>"
