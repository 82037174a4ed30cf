"""The page of `ckpt audit diff`."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from ckpt_tools.audit.summary import Judged
from ckpt_tools.report.blocks import Heading, Line, Status, Table, Title
from ckpt_tools.text import count, placed, printable

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from ckpt_tools.audit.compare import AuditComparison, Seen
    from ckpt_tools.audit.summary import Found
    from ckpt_tools.report.blocks import Block, Page

SHOWN = 20
"""Checkpoints or findings of a list; `full` shows all."""
_ORDER = list(Judged)


def audit_diff_page(comparison: AuditComparison, *, full: bool = False) -> Page:
    """Return how two audits differ: checkpoints, verdicts and findings that came and went."""
    limit = None if full else SHOWN
    return (
        Title(f"Audits: {printable(comparison.old)} and {printable(comparison.new)}"),
        *_seen("New", comparison.added, limit, Status.CHANGE),
        *_seen("Gone", comparison.gone, limit, Status.CHANGE),
        *_changed(comparison, limit),
        *_rejudged(comparison, limit),
        *_findings("Findings that came", comparison.came, limit, Status.BAD),
        *_findings("Findings that went", comparison.went, limit, Status.GOOD),
        *_conclusion(comparison),
    )


def _seen(name: str, some: Sequence[Seen], limit: int | None, mark: Status) -> Iterator[Block]:
    if some:
        yield Heading(text=f"{name}: {len(some):,}")
    for one in some[:limit]:
        yield Line(f"{printable(one.location)} ({one.judged})", mark)
    yield from _more(len(some), limit)


def _changed(comparison: AuditComparison, limit: int | None) -> Iterator[Block]:
    if comparison.changed:
        yield Heading(text=f"Changed files: {len(comparison.changed):,}")
    for location in comparison.changed[:limit]:
        yield Line(printable(location), Status.CHANGE)
    yield from _more(len(comparison.changed), limit)


def _rejudged(comparison: AuditComparison, limit: int | None) -> Iterator[Block]:
    if comparison.rejudged:
        yield Heading(text=f"Other verdicts: {len(comparison.rejudged):,}")
    for one in comparison.rejudged[:limit]:
        worse = _ORDER.index(one.after) < _ORDER.index(one.before)
        mark = Status.BAD if worse else Status.GOOD
        yield Line(f"{printable(one.location)}: {one.before} before, {one.after} now", mark)
    yield from _more(len(comparison.rejudged), limit)


def _findings(
    name: str, found: Sequence[Found], limit: int | None, mark: Status
) -> Iterator[Block]:
    if not found:
        return
    yield Heading(text=f"{name}: {len(found):,}")
    codes = Counter((one.code, one.severity) for one in found)
    rows = tuple(
        (printable(code), printable(severity), f"{number:,}")
        for (code, severity), number in sorted(codes.items(), key=lambda item: (-item[1], item[0]))
    )
    yield Table(("code", "severity", "findings"), rows, frozenset({2}))
    for one in found[:limit]:
        what = placed(one.path, one.subject, one.what)
        yield Line(f"{printable(one.code)} {printable(one.location)}", mark, (what,))
    yield from _more(len(found), limit)


def _more(number: int, limit: int | None) -> Iterator[Line]:
    if limit is not None and number > limit:
        yield Line(text=f"and {number - limit:,} more: --full lists them")


def _conclusion(comparison: AuditComparison) -> Iterator[Block]:
    yield Heading(text="Verdict", conclusion=True)
    names = f"{printable(comparison.old)} and {printable(comparison.new)}"
    both = f"{count(comparison.common, 'checkpoint')} in both"
    if comparison.same:
        yield Line(f"{names}: no differences ({both})", Status.GOOD)
        return
    parts = (
        (len(comparison.added), "new"),
        (len(comparison.gone), "gone"),
        (len(comparison.changed), "changed"),
        (len(comparison.rejudged), "with another verdict"),
        (len(comparison.came), "findings came"),
        (len(comparison.went), "findings went"),
    )
    said = ", ".join(f"{number:,} {what}" for number, what in parts if number)
    yield Line(f"{names}: different: {said} ({both})", Status.BAD)
