"""Findings of rules, and the result of a verification: records only."""

from __future__ import annotations

from collections import Counter
from enum import StrEnum
from typing import TYPE_CHECKING, NamedTuple

from ckpt_tools.rules.remedy import Remedy
from ckpt_tools.text import count

if TYPE_CHECKING:
    from ckpt_tools.checkpoint.model import Checkpoint
    from ckpt_tools.rules.coverage import Coverage
    from ckpt_tools.storage.hub_name import Transfer


class Severity(StrEnum):
    """ERROR: the checkpoint cannot be loaded, or loads as something other than what was saved.

    WARNING: it works, but should not be published as it is. NOTE: for information.
    """

    ERROR = "error"
    WARNING = "warning"
    NOTE = "note"


class Need(StrEnum):
    """What a rule needs to read, besides names and sizes of files."""

    HEADERS = "headers"
    CONFIG = "config"
    FILES = "files"
    VALUES = "values"
    BASELINE = "baseline"
    SPEC = "spec"
    LIVE = "live"
    LIBRARY = "library"
    EXPECTATION = "expectation"


class Finding(NamedTuple):
    """One problem: what is wrong with `subject` (tensor, JSON pointer, "" for all) of a file."""

    code: str
    severity: Severity
    what: str
    path: str = ""
    subject: str = ""
    remedy: Remedy = Remedy()

    @property
    def next(self) -> str:
        """The remedy as a sentence or command, ready to be shown."""
        return str(self.remedy)


class Skipped(NamedTuple):
    """A rule that was not checked, and why."""

    code: str
    reason: str


class Suppressed(NamedTuple):
    """A finding that the settings accept, and why."""

    finding: Finding
    reason: str


class Verification(NamedTuple):
    """The findings, the codes of the rules that were checked, those skipped, what was suppressed.

    `checkpoint` is None for one that cannot be read; its error is the finding. `transferred` is
    what was read from the Hub, where something was. `coverage` has an answer to each question.
    `settings` is the file that the settings are from, "" for none.
    """

    where: str
    checkpoint: Checkpoint | None
    family: str
    findings: tuple[Finding, ...]
    checked: tuple[str, ...]
    skipped: tuple[Skipped, ...] = ()
    suppressed: tuple[Suppressed, ...] = ()
    transferred: Transfer | None = None
    coverage: tuple[Coverage, ...] = ()
    settings: str = ""

    def __repr__(self) -> str:
        """Summarize in one line."""
        counts = Counter(finding.severity for finding in self.findings)
        found = [count(counts[severity], severity) for severity in Severity if counts[severity]]
        outcome = ", ".join(["clean"] * self.clean + found)
        checked = count(len(self.checked), "rule")
        return f"<Verification {self.where!r}: {outcome} ({checked} checked)>"

    @property
    def clean(self) -> bool:
        """Whether nothing worse than a note was found."""
        return all(finding.severity is Severity.NOTE for finding in self.findings)
