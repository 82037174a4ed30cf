"""What a rule found, and what a verification amounts to. Nothing here looks for anything."""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from ckpt_tools.checkpoint.model import Checkpoint
    from ckpt_tools.storage.hub_name import Transfer


class Severity(StrEnum):
    """ERROR: who loads the checkpoint gets something else than was saved, or nothing.

    WARNING: it works and should not be published so. NOTE: worth knowing.
    """

    ERROR = "error"
    WARNING = "warning"
    NOTE = "note"


class Need(StrEnum):
    """What a rule looks at, beside names and sizes of files."""

    HEADERS = "headers"
    CONFIG = "config"
    FILES = "files"
    VALUES = "values"
    BASELINE = "baseline"
    SPEC = "spec"
    LIVE = "live"


class Finding(NamedTuple):
    """One thing that is wrong.

    `what` is wrong with `subject` (a tensor, a JSON pointer, "" for the whole) of the file `path`,
    and what to do `next`.
    """

    code: str
    severity: Severity
    what: str
    path: str = ""
    subject: str = ""
    next: str = ""


class Skipped(NamedTuple):
    """A rule that was not asked, and why."""

    code: str
    reason: str


class Suppressed(NamedTuple):
    """A finding that the settings say to live with, and why."""

    finding: Finding
    reason: str


class Verification(NamedTuple):
    """The outcome.

    What was found, by which rules that were asked (`asked`, codes), what was not asked and why,
    what is lived with.

    `checkpoint` is None for one that cannot be read; then its error is the finding. `transferred`
    is what reading took, where something is on the Hub.
    """

    where: str
    checkpoint: Checkpoint | None
    family: str
    findings: tuple[Finding, ...]
    asked: tuple[str, ...]
    skipped: tuple[Skipped, ...] = ()
    suppressed: tuple[Suppressed, ...] = ()
    transferred: Transfer | None = None

    @property
    def clean(self) -> bool:
        """Whether nothing worse than a note was found."""
        return all(finding.severity is Severity.NOTE for finding in self.findings)
