"""The page of `ckpt audit show`: what was found in how many checkpoints, in a line or a table."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ckpt_tools.audit.summary import By, Group, RelationGroup, Row, RuleGroup, judged
from ckpt_tools.report.blocks import Heading, Line, Status, Table, Title, Topic, text_blocks
from ckpt_tools.report.pages.rules import explain_page
from ckpt_tools.rules.coverage import Question, title
from ckpt_tools.text import count, escaped, placed, printable, size

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from ckpt_tools.audit.summary import Answered, AuditSummary, Found, Overview, TableRow
    from ckpt_tools.audit.summary import Table as AuditTable
    from ckpt_tools.report.blocks import Block, Page
    from ckpt_tools.rules.rule import Rule

_MARKS = {"error": Status.BAD, "warning": Status.CHANGE}
_CODES = 4
"""Codes of a checkpoint in a table."""
_HEADERS = {
    By.RULE: ("code", "rule", "severity", "findings", "checkpoints"),
    By.CHECKPOINT: ("verdict", "family", "size", "codes", "checkpoint"),
    By.RELATION: ("relation", "checkpoints", "size", "to"),
}
_GROUP_HEADER = ("checkpoints", "errors", "warnings", "failed", "size")
_RIGHT = {
    By.RULE: frozenset({3, 4}),
    By.CHECKPOINT: frozenset({2}),
    By.RELATION: frozenset({1, 2}),
}


def audit_page(summary: AuditSummary, rules: Iterable[Rule]) -> Page:
    """Return the page of an audit: the overview, the tables that were read, and the verdict."""
    known = {rule.code: rule for rule in rules}
    return (
        *overview_blocks(summary.overview),
        *(block for table in summary.tables for block in table_blocks(table, known)),
        *failed_blocks(summary),
        *(_topics(summary, known) if summary.selection.codes else ()),
        *conclusion(summary.overview),
    )


def overview_blocks(overview: Overview) -> Iterator[Block]:
    """Yield how many checkpoints there are, what they take, and what was not checked."""
    yield Heading(text="Checkpoints")
    others = overview.known - overview.selected
    apart = f", {overview.vanished:,} vanished" if overview.vanished else ""
    of = f" of {overview.known:,}{apart}" if others else ""
    yield Line(text=f"{count(overview.selected, 'checkpoint')}{of}")
    for number, what, mark in (
        (overview.failed, "could not be looked at", Status.BAD),
        (overview.with_errors, "with errors", Status.BAD),
        (overview.with_warnings, "with warnings", Status.CHANGE),
        (overview.with_notes, "with notes only", Status.NONE),
        (overview.clean, "without findings", Status.GOOD),
    ):
        if number:
            yield Line(text=f"{number:,} {what}", mark=mark)
    yield Line(text=_sizes(overview))
    yield from _run(overview)
    yield from _coverage(overview.coverage)


def table_blocks(table: AuditTable, known: Mapping[str, Rule]) -> Iterator[Block]:
    """Yield a table with its heading; rules are called by the names that `known` has."""
    some = f" ({len(table.rows):,} of {table.total:,}; --limit 0 for all)"
    shown = some if len(table.rows) < table.total else ""
    yield Heading(text=f"By {table.by}{shown}")
    if not table.rows:
        yield Line(text="none")
        return
    header = _HEADERS.get(table.by, (table.by.value, *_GROUP_HEADER))
    rows = tuple(_cells(row, known) for row in table.rows)
    yield Table(header, rows, _RIGHT.get(table.by, frozenset(range(1, len(header)))))


def failed_blocks(summary: AuditSummary) -> Iterator[Block]:
    """Yield the first checkpoints that could not be looked at, and why."""
    if summary.failed:
        yield Heading(text=f"Could not be looked at: {summary.overview.failed:,}")
    for row in summary.failed:
        yield Line(printable(row.location), Status.BAD, (escaped(row.reason),))
    more = summary.overview.failed - len(summary.failed)
    if summary.failed and more:
        yield Line(text=f"and {more:,} more: --status failed --by checkpoint lists them")


def topics(
    found: Sequence[Found], groups: Iterable[RuleGroup], known: Mapping[str, Rule]
) -> Iterator[Topic]:
    """Yield each code with its rule's page, and those of its findings that were read."""
    lines: dict[tuple[str, str], list[Line]] = {}
    for one in found:
        lines.setdefault((one.code, one.severity), []).append(_finding(one))
    for group in groups:
        rule = known.get(group.code)
        shown = lines.get((group.code, group.severity), [])
        more = group.findings - len(shown)
        rest = [Line(f"and {more:,} more in this audit")] if more else []
        name = f"{printable(rule.name)}: " if rule else ""
        yield Topic(
            key=printable(group.code),
            text=f"{name}{count(group.findings, printable(group.severity))} in"
            f" {count(group.checkpoints, 'checkpoint')}",
            mark=mark_of(group.severity),
            lines=(*shown, *rest),
            explanation=tuple(text_blocks(explain_page(rule)[1:])) if rule else (),
        )


def conclusion(overview: Overview) -> Iterator[Block]:
    """Yield the verdict on all that was selected."""
    yield Heading(text="Verdict", conclusion=True)
    name = printable(overview.path)
    if not overview.selected:
        yield Line(f"{name}: no checkpoints; this does not count as a pass", Status.BAD)
        return
    failed = f"; {overview.failed:,} could not be looked at" if overview.failed else ""
    vanished = overview.selected - overview.checked - overview.failed
    gone = f"; {vanished:,} vanished" if vanished else ""
    bad = [
        f"{number:,} with {what}"
        for number, what in (
            (overview.with_errors, "errors"),
            (overview.with_warnings, "warnings only"),
        )
        if number
    ]
    said = ", ".join(bad) or "no errors or warnings"
    mark = Status.BAD if bad or failed else Status.GOOD
    yield Line(f"{name}: {count(overview.selected, 'checkpoint')}, {said}{failed}{gone}", mark)


def title_of(overview: Overview) -> Title:
    """Return the title of a page that is read on its own."""
    return Title(f"Audit: {printable(overview.path)}")


def mark_of(severity: str) -> Status:
    """Return how a finding stands out."""
    return _MARKS.get(severity, Status.NONE)


def relation_name(kind: str) -> str:
    """Return what reports call a kind of relation."""
    return printable(kind).replace("-", " ")


def _sizes(overview: Overview) -> str:
    if not overview.copies:
        return f"{size(overview.nbytes)} of tensors"
    copied, whole = size(overview.copied_bytes), size(overview.weight_bytes)
    copies = f"the tensors of {count(overview.copies, 'checkpoint')}"
    return f"{copied} of {whole} are copies: {copies}"


def _run(overview: Overview) -> Iterator[Line]:
    sources = ", ".join(map(printable, overview.sources)) or "nothing"
    ended = f"to {overview.finished}" if overview.finished else "(interrupted)"
    yield Line(printable(f"last run: {overview.started} {ended}, ckpt {overview.tool}"))
    yield Line(f"looked through: {sources}")


def _coverage(coverage: Sequence[Answered]) -> Iterator[Block]:
    """Yield what was checked of every checkpoint, of some, and of none."""
    if coverage:
        yield Heading(text="Checked")
    whole = [_title(one) for one in coverage if not one.partly + one.skipped]
    none = [_title(one) for one in coverage if not one.checked + one.partly]
    if whole:
        yield Line(", ".join(whole), Status.GOOD)
    for one in coverage:
        parts = [
            f"{word} in {number:,} of {one.checked + one.partly + one.skipped:,}"
            for number, word in ((one.partly, "partly checked"), (one.skipped, "not checked"))
            if number
        ]
        if parts and _title(one) not in none:
            yield Line(f"{_title(one)}: {', '.join(parts)}", Status.CHANGE)
    if none:
        yield Line(f"not checked: {', '.join(none)}")


def _title(one: Answered) -> str:
    known = one.question in list(Question)
    return title(Question(one.question)) if known else printable(one.question)


def _cells(row: TableRow, known: Mapping[str, Rule]) -> tuple[str, ...]:
    if isinstance(row, RuleGroup):
        name = known[row.code].name if row.code in known else ""
        found = (f"{row.findings:,}", f"{row.checkpoints:,}")
        return (printable(row.code), printable(name), printable(row.severity), *found)
    if isinstance(row, Group):
        numbers = tuple(f"{number:,}" if number else "" for number in row[2:5])
        return (printable(row.name) or "none", f"{row.checkpoints:,}", *numbers, size(row.nbytes))
    if isinstance(row, RelationGroup):
        taken = size(row.nbytes) if row.nbytes else ""
        return (relation_name(row.kind), f"{row.checkpoints:,}", taken, printable(row.name))
    return _checkpoint(row)


def _checkpoint(row: Row) -> tuple[str, ...]:
    more = f" +{len(row.codes) - _CODES}" if len(row.codes) > _CODES else ""
    return (
        judged(row.status, row.errors, row.warnings, row.notes).value,
        printable(row.family),
        size(row.nbytes),
        " ".join(map(printable, row.codes[:_CODES])) + more,
        printable(row.location),
    )


def _topics(summary: AuditSummary, known: Mapping[str, Rule]) -> Iterator[Block]:
    """Yield the explanation of each selected code, then its findings."""
    for code in summary.selection.codes:
        if code in known:
            yield from explain_page(known[code])
        yield Heading(text=f"Findings of {printable(code)}")
        found = [one for one in summary.found if one.code == code]
        yield from map(_finding, found)
    more = summary.found_total - len(summary.found)
    if more:
        yield Line(text=f"and {more:,} more: --limit 0 lists them")


def _finding(one: Found) -> Line:
    details = (placed(one.path, one.subject, one.what), escaped(one.next))
    return Line(printable(one.location), mark_of(one.severity), tuple(filter(None, details)))


def export_page(folder: str, rows: Mapping[str, int]) -> Page:
    """Return which files were written, and how many rows they have."""
    cells = tuple((f"{number:,}", f"{folder}/{name}.parquet") for name, number in rows.items())
    return (Table(("rows", "file"), cells, frozenset({0})),)
