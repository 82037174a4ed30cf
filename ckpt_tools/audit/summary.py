"""The records that reading an audit gives: a selection, an overview, tables, findings. No I/O."""

from __future__ import annotations

from enum import StrEnum
from typing import NamedTuple

from ckpt_tools.audit.model import Status


class Judged(StrEnum):
    """What an audit says of a checkpoint in one word: its worst finding, or why there is none."""

    FAILED = "failed"
    ERRORS = "errors"
    WARNINGS = "warnings"
    NOTES = "notes"
    CLEAN = "clean"
    VANISHED = "vanished"


def judged(status: str, errors: int, warnings: int, notes: int) -> Judged:
    """Return what an audit says of a checkpoint of that status, with so many findings."""
    if status != Status.CHECKED:
        return Judged.VANISHED if status == Status.VANISHED else Judged.FAILED
    counts = ((errors, Judged.ERRORS), (warnings, Judged.WARNINGS), (notes, Judged.NOTES))
    return next((word for number, word in counts if number), Judged.CLEAN)


class By(StrEnum):
    """What the rows of a table stand for."""

    RULE = "rule"
    FAMILY = "family"
    OWNER = "owner"
    AGE = "age"
    SIZE = "size"
    CHECKPOINT = "checkpoint"
    RELATION = "relation"


class Selection(NamedTuple):
    """The checkpoints that are read: those that match every filter.

    A filter is matched by any of its values, an empty one by everything; `*` and `?` in a family,
    an owner or a source stand for other characters. A code or a severity selects the checkpoints
    that have such a finding. What vanished is selected only by its status.
    """

    codes: tuple[str, ...] = ()
    severities: tuple[str, ...] = ()
    families: tuple[str, ...] = ()
    owners: tuple[str, ...] = ()
    statuses: tuple[str, ...] = ()
    sources: tuple[str, ...] = ()


class Answered(NamedTuple):
    """Of how many checkpoints a question was checked, partly checked and not checked."""

    question: str
    checked: int
    partly: int
    skipped: int


class Overview(NamedTuple):
    """What an audit says of the selected checkpoints as a whole.

    `started`, `finished` ("" for an interrupted run), `tool` and `sources` are those of the last of
    `runs` runs. Checkpoints are counted by status, and the checked ones by their worst finding;
    `findings` are the numbers of errors, warnings and notes. `nbytes` are those of all tensors.
    `copies` are the checkpoints whose tensors another one has too: they take `copied_bytes` of
    `weight_bytes`. For the whole audit these are bytes of weight files, in which a file with
    several names counts once, and for a part of it bytes of tensors. `known` is how many
    checkpoints the file has, `vanished` and not selected ones included.
    """

    path: str
    tool: str
    started: str
    finished: str
    sources: tuple[str, ...]
    runs: int
    known: int
    vanished: int
    selected: int
    checked: int
    failed: int
    with_errors: int
    with_warnings: int
    with_notes: int
    findings: tuple[int, int, int]
    with_values: int
    nbytes: int
    copies: int
    copied_bytes: int
    weight_bytes: int
    coverage: tuple[Answered, ...]

    @property
    def clean(self) -> int:
        """How many checkpoints have no finding at all."""
        return self.checked - self.with_errors - self.with_warnings - self.with_notes


class Group(NamedTuple):
    """Checkpoints that have a family, an owner, an age or a size in common."""

    name: str
    checkpoints: int
    with_errors: int
    with_warnings: int
    failed: int
    nbytes: int


class RuleGroup(NamedTuple):
    """The findings of one code and severity."""

    code: str
    severity: str
    findings: int
    checkpoints: int


class RelationGroup(NamedTuple):
    """The checkpoints that are related to one other in the same way: `name`, where it has one."""

    kind: str
    name: str
    checkpoints: int
    nbytes: int


class Row(NamedTuple):
    """One checkpoint; `codes` are those of its findings, each once."""

    location: str
    status: str
    reason: str
    source: str
    owner: str
    kind: str
    family: str
    errors: int
    warnings: int
    notes: int
    tensors: int
    parameters: int
    nbytes: int
    modified: str
    base_model: str
    codes: tuple[str, ...] = ()


class Found(NamedTuple):
    """A finding of the checkpoint at `location`."""

    location: str
    code: str
    severity: str
    path: str
    subject: str
    what: str
    next: str


type TableRow = Group | RuleGroup | RelationGroup | Row


class Table(NamedTuple):
    """The first rows by `by`, of `total` in all."""

    by: By
    rows: tuple[TableRow, ...]
    total: int


class AuditSummary(NamedTuple):
    """What was read of an audit: its overview, tables, and findings.

    `failed` are the first checkpoints that could not be looked at. `found` are findings, with the
    worst first, of `found_total` that the selection names: those of the selected codes, or some of
    each code.
    """

    overview: Overview
    selection: Selection
    tables: tuple[Table, ...] = ()
    failed: tuple[Row, ...] = ()
    found: tuple[Found, ...] = ()
    found_total: int = 0

    def table(self, by: By) -> Table:
        """Return the table by `by`, an empty one if it was not read."""
        return next((table for table in self.tables if table.by is by), Table(by, (), 0))
