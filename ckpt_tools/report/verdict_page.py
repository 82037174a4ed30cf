"""What was found, by severity, and what it amounts to: the page of `ckpt verify` and of `ckpt gate`."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from ckpt_tools.records.finding import Severity
from ckpt_tools.records.verdict import Verdict
from ckpt_tools.report.blocks import Heading, Line, Mark
from ckpt_tools.report.words import printable, transferred

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from ckpt_tools.records.finding import Finding, Verification
    from ckpt_tools.report.blocks import Block, Page

_MARKS = {Severity.ERROR: Mark.BAD, Severity.WARNING: Mark.CHANGE, Severity.NOTE: Mark.NONE}
_TITLES = {Severity.ERROR: "Errors", Severity.WARNING: "Warnings", Severity.NOTE: "Notes"}
MANY = 20
"""Findings of one rule that are listed; JSON has all."""


def page(judgement: Verification | Verdict) -> Page:
    """Return the page of what was found, or decided."""
    verification = judgement.verification if isinstance(judgement, Verdict) else judgement
    return (*_findings(verification), *_lived_with(verification), *_conclusion(judgement, verification))


def _findings(verification: Verification) -> Iterator[Block]:
    for severity in Severity:
        found = [finding for finding in verification.findings if finding.severity is severity]
        if found:
            yield Heading(text=f"{_TITLES[severity]}: {len(found):,}")
            yield from _lines(found, _MARKS[severity])


def _lines(found: Sequence[Finding], mark: Mark) -> Iterator[Block]:
    told: Counter[str] = Counter()
    counts = Counter(finding.code for finding in found)
    for finding in found:
        told[finding.code] += 1
        if told[finding.code] <= MANY:
            place = ": ".join(printable(part) for part in (finding.path, finding.subject) if part)
            words = f"{finding.code} {place}: {_safe(finding.what)}" if place else f"{finding.code} {_safe(finding.what)}"
            yield Line(text=words, mark=mark, details=(_safe(finding.next),) if finding.next else ())
        elif told[finding.code] == counts[finding.code]:
            yield Line(text=f"{finding.code} and {counts[finding.code] - MANY:,} more", mark=mark)


def _lived_with(verification: Verification) -> Iterator[Block]:
    if verification.suppressed:
        yield Heading(text=f"Lived with: {len(verification.suppressed):,}")
    for finding, reason in verification.suppressed[:MANY]:
        yield Line(text=f"{finding.code} {printable(finding.path)}: {_safe(finding.what)}", details=(printable(reason),))
    if len(verification.suppressed) > MANY:
        yield Line(text=f"and {len(verification.suppressed) - MANY:,} more")


def _conclusion(judgement: Verification | Verdict, verification: Verification) -> Iterator[Block]:
    yield Heading(text="Verdict")
    reasons = Counter(skip.reason for skip in verification.skipped)
    for reason, count in sorted(reasons.items()):
        yield Line(text=f"{_count(count, 'rule')} not asked: {printable(reason)}")
    if verification.transferred:
        yield Line(text=transferred(verification.transferred))
    where = printable(verification.where)
    asked = f"{_count(len(verification.asked), 'rule')} asked"
    if not verification.asked:
        yield Line(text=f"{where}: nothing was checked, which is not a pass", mark=Mark.BAD)
    elif isinstance(judgement, Verdict):
        yield _verdict(judgement, f"{where} (profile {judgement.profile}, {asked})")
    elif verification.clean:
        yield Line(text=f"{where}: clean ({asked})", mark=Mark.GOOD)
    else:
        yield Line(text=f"{where}: not clean ({asked})", mark=Mark.BAD)


def _verdict(verdict: Verdict, subject: str) -> Line:
    if verdict.passes:
        return Line(text=f"{subject}: passes", mark=Mark.GOOD)
    codes = sorted({finding.code for finding in verdict.refused})
    return Line(text=f"{subject}: refused, by {', '.join(codes)}", mark=Mark.BAD)


def _count(number: int, noun: str) -> str:
    return f"{number:,} {noun}{'s' * (number != 1)}"


def _safe(text: str) -> str:
    return text if text.isprintable() else "".join(character if character.isprintable() else repr(character)[1:-1] for character in text)
